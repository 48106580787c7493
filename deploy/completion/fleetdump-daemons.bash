# Completion of fleetdump-agent and fleetdump-collector for bash: source it, or put it under both names into
# /usr/share/bash-completion/completions. The options are those that --help prints.

_fleetdump_daemon() {
    local cur=${COMP_WORDS[COMP_CWORD]} command= word
    declare -A commands=([fleetdump-agent]="join doctor" [fleetdump-collector]="serve check reindex init doctor")
    local of=${commands[${1##*/}]}
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ " $of " == *" $word "* ]] && command=$word
    done
    COMPREPLY=()
    if [[ $cur == -* ]]; then
        # a line of help begins with "  -c, --config=FILE" or "      --check"
        mapfile -t COMPREPLY < <(compgen -W "$("$1" $command --help 2>/dev/null | sed -nE 's/^ +(-., )?(--[a-z-]+=?).*/\2/p')" -- "$cur")
        if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace; fi
    elif [[ -z $command && ${COMP_WORDS[COMP_CWORD-1]} != -* && $cur != = ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$of" -- "$cur")
    fi
}
complete -o default -F _fleetdump_daemon fleetdump-agent fleetdump-collector
