// The use case of exporting a VM with its disks, as an OVA: opens all of them, lays the archive
// out, and lends it to the caller for as long as it takes to send. Knows no HTTP.

import { MAXIMUM_DISKS, writeOvf } from '../archives/ovf/write-ovf.ts'
import type { ArchivedImage } from '../archives/ovf/plan-ova.ts'
import { planOva } from '../archives/ovf/plan-ova.ts'
import { vbdHasDisk } from '../catalog/vms/derive-vm.ts'
import type { VmRow } from '../catalog/vms/vm-rows.ts'
import { AppError } from '../errors.ts'
import { planStoredVmdk } from '../formats/vmdk/plan-stored.ts'
import { vmdk } from '../formats/vmdk/vmdk.ts'
import type { OpenedContent } from '../store/reading/opened-content.ts'
import { closeSource } from '../transfer/write-layer.ts'
import type { TaskHandle } from '../transfer/with-task.ts'
import { MiB } from '../units.ts'
import type { OperationContext } from './context.ts'
import type { Deliver } from './vdi/ready-export.ts'
import { identityOf } from './vdi/open-export.ts'
import { contentKey, latest, strongTag } from './vdi/validators.ts'
import { findVm, nameOfVm } from './vm/find-vm.ts'

/** Of the archive's layout: another one means that the same VM has other bytes. */
const layoutVersion = 1

/**
 * Runs an export as one transfer. What it throws before it calls `deliver` is a refusal.
 * @throws AppError HANDLE_INVALID, OPERATION_BLOCKED, OPERATION_NOT_ALLOWED for more disks than an
 *   OVA has place for, VDI_TOO_LARGE, VDI_INCOMPATIBLE_TYPE, TOO_BUSY, or what `deliver` throws
 */
export const exportMachine = (
  context: OperationContext,
  vmUuid: string,
  task: TaskHandle,
  deliver: Deliver,
): Promise<void> =>
  context.transfers.run(task, async ({ signal, turn, open }) => {
    const vm = await findVm(context, vmUuid, 'export')
    const { opened, names } = await openDisks(context, vm)
    try {
      const changedAt = latest([
        vmdk.planDate,
        vm.createdAt,
        ...opened.map(({ vdi }) => vdi.changedAt),
      ])
      const contents = opened.map(({ vdi }) => contentKey(vdi))
      const { image, ovf } = await planArchive(context, vm, { opened, names, changedAt })
      await deliver({
        body: { kind: 'planned', image },
        isCompressed: false,
        etag: strongTag([layoutVersion, ovf, contents, changedAt]),
        // When the record last changed is not known: no time says that it has not.
        changedAt: new Date(),
        mediaType: 'application/ovf',
        fileName: `${fileNameOf(vm)}.ova`,
        signal,
        turn,
        open: async () => {
          await open()
          task.begin(`Export of ${nameOfVm(vm)}`)
        },
        report: (fraction) => task.report(fraction),
        verify: async () => {
          for (const { verify } of opened) await verify()
        },
      })
    } finally {
      for (const { disk } of opened) await closeSource(context, disk)
    }
  })

interface OpenedDisks {
  readonly opened: readonly OpenedContent[]
  /** Of the VDIs. */
  readonly names: readonly string[]
}

const openDisks = async (context: OperationContext, vm: VmRow): Promise<OpenedDisks> => {
  const disks = (await context.catalog.vbds.ofVm(vm.uuid)).filter(vbdHasDisk)
  if (disks.length > MAXIMUM_DISKS) {
    const found = `the VM ${vm.uuid} has ${disks.length} disks, an OVA has place for ${MAXIMUM_DISKS}`
    throw new AppError('OPERATION_NOT_ALLOWED', [`Cannot export an OVA: ${found}`])
  }
  const opened: OpenedContent[] = []
  try {
    for (const { vdiUuid } of disks) opened.push(await context.storage.contents.open(vdiUuid))
    return { opened, names: opened.map(({ vdi }) => vdi.nameLabel) }
  } catch (error) {
    for (const { disk } of opened) await closeSource(context, disk)
    throw error
  }
}

const planArchive = async (
  { catalog }: OperationContext,
  vm: VmRow,
  { opened, names, changedAt }: OpenedDisks & { readonly changedAt: Date },
) => {
  const fileName = fileNameOf(vm)
  const disks: ArchivedImage[] = []
  for (const [index, { vdi, disk }] of opened.entries()) {
    const image = await planStoredVmdk(disk, identityOf(vdi, undefined))
    disks.push({ fileName: `${fileName}-disk${index + 1}.vmdk`, image })
  }
  const networks = new Map((await catalog.networks.list()).map((row) => [row.uuid, row] as const))
  const ovf = writeOvf({
    ...hardwareOf(vm),
    name: nameOfVm(vm),
    description: vm.nameDescription,
    disks: disks.map(({ fileName: name, image }, index) => ({
      fileName: name,
      fileSize: image.size,
      capacity: opened[index]!.vdi.virtualSize,
      name: names[index]!,
    })),
    networks: (await catalog.vifs.ofVm(vm.uuid)).map(
      ({ networkUuid }) => networks.get(networkUuid)?.nameLabel || networkUuid,
    ),
  })
  return { ovf, image: planOva({ ovfName: `${fileName}.ovf`, ovf, disks, changedAt }) }
}

/** No VM runs with less. */
const leastMemory = 4

const hardwareOf = ({ settings }: VmRow) => {
  const {
    VCPUs_at_startup: processors,
    memory_static_max: memory,
    HVM_boot_params: boot,
  } = settings
  const isUefi = typeof boot === 'object' && boot !== null && boot['firmware'] === 'uefi'
  return {
    processors: typeof processors === 'number' ? Math.max(1, processors) : 1,
    // VMware wants whole multiples of 4 MB.
    memory: Math.max(
      leastMemory,
      Math.ceil((typeof memory === 'number' ? memory : 0) / MiB / leastMemory) * leastMemory,
    ),
    firmware: isUefi ? ('uefi' as const) : ('bios' as const),
  }
}

/** In archives and headers: ASCII, short, never hidden, and no path. */
const fileNameOf = (vm: VmRow): string =>
  nameOfVm(vm)
    .replaceAll(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[.-]+/, '')
    .slice(0, 60) || 'vm'
