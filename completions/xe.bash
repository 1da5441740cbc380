# Completion of xe for bash: source it, or put it into /etc/bash_completion.d. Commands and parameters come
# from the server, with the options in XE_EXTRA_ARGS and ~/.xe; what they need must be there.

_xe_ask() {
  xe "$@" --minimal 2>/dev/null </dev/null
}

# The parameters of a command, each with its "=", unless it already ends with ":".
_xe_params() {
  xe help "$1" 2>/dev/null </dev/null |
    sed -n 's/^ *\(reqd\|optional\) params *: //p' | tr -d ' ' | tr ',' '\n' |
    sed '/^$/d; /:$/!s/$/=/'
}

# The formats that the help of an export tells.
_xe_formats() {
  xe help vdi-export 2>/dev/null </dev/null | tr '\n' ' ' |
    sed -n 's/.*format is one of \([^;]*\);.*/\1/p' | tr -d ','
}

_xe() {
  local word=$2 line=("${COMP_WORDS[@]:1:COMP_CWORD-1}") command= part
  local IFS=$' \t\n'
  COMPREPLY=()
  # "=" parts words for bash: put together again what belongs together.
  if [[ $word == "=" ]]; then
    word="${COMP_WORDS[COMP_CWORD-1]}="
  elif [[ ${COMP_WORDS[COMP_CWORD-1]} == "=" ]]; then
    word="${COMP_WORDS[COMP_CWORD-2]}=$word"
  fi
  for part in "${line[@]}"; do
    if [[ $part =~ ^[a-z]+(-[a-z]+)*$ ]]; then
      command=$part
      break
    fi
  done
  if [[ -z $command ]]; then
    mapfile -t COMPREPLY < <(compgen -W "help $(_xe_ask help --all | tr ',' ' ')" -- "$word")
    return
  fi
  local value=${word#*=}
  case $word in
    filename=*)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$value")
      ;;
    format=*)
      mapfile -t COMPREPLY < <(compgen -W "$(_xe_formats)" -- "$value")
      ;;
    class=*)
      mapfile -t COMPREPLY < <(compgen -W 'pool host sr pbd sm vdi task message vm template snapshot vbd vif network pif' -- "$value")
      ;;
    param-name=* | params=*)
      mapfile -t COMPREPLY < <(compgen -W "$(_xe_params "${command%%-*}-list" | tr -d =)" -- "$value")
      ;;
    vm=* | uuid=* | base=* | *-uuid=*)
      local class=${command%%-*}
      case $word in
        sr-uuid=*) class=sr ;;
        host-uuid=*) class=host ;;
        vm=* | vm-uuid=*) class=vm ;;
        network-uuid=*) class=network ;;
        snapshot-uuid=*) class=snapshot ;;
        template-uuid=*) class=template ;;
        base=* | *vdi*-uuid=*) class=vdi ;;
      esac
      mapfile -t COMPREPLY < <(compgen -W "$(_xe_ask "$class-list" | tr ',' ' ')" -- "$value")
      ;;
    *=*) ;;
    *)
      if [[ $command == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_xe_ask help --all | tr ',' ' ')" -- "$word")
      else
        compopt -o nospace 2>/dev/null
        local names
        # Only some commands show how far they are.
        names=$(_xe_params "$command" | sed 's/^progress=$/--progress/')
        [[ ! $command =~ ^vdi-unlock$|-uninstall$ ]] || names+=' --force'
        mapfile -t COMPREPLY < <(compgen -W "$names --minimal" -- "$word")
      fi
      ;;
  esac
}

complete -F _xe xe
