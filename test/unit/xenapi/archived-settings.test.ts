// Fields of VMs from archives: those that are known are taken, by their types.

import { expect, test } from 'vitest'
import { archivedSettings } from '../../../src/xenapi/archived-settings.ts'

test('known fields are taken, references and unknown ones are not, wrong ones are named', () => {
  const fields = {
    VCPUs_max: '4',
    memory_static_max: 1024,
    platform: { acpi: '1' },
    has_vendor_device: true,
    HVM_shadow_multiplier: '1.5',
    affinity: 'Ref:1',
    uuid: 'x',
    domain_type: 'none of them',
    NVRAM: 'text',
  }
  expect(archivedSettings(fields)).toEqual({
    settings: {
      VCPUs_max: 4,
      memory_static_max: 1024,
      platform: { acpi: '1' },
      has_vendor_device: true,
      HVM_shadow_multiplier: 1.5,
    },
    unread: ['domain_type', 'NVRAM'],
  })
  expect(archivedSettings({})).toEqual({ settings: {}, unread: [] })
})
