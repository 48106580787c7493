# Completion of fleetdump for bash: source it, or put it to /usr/share/bash-completion/completions/fleetdump. fleetdump
# itself knows the words; names of agents and captures come from the collector.

_fleetdump() {
    local words=("${COMP_WORDS[@]:1:COMP_CWORD}") cur=${COMP_WORDS[COMP_CWORD]}
    # bash takes --option=value apart: three words, two if there is no value yet
    if [[ $cur == = ]]; then
        words=("${words[@]:0:${#words[@]}-1}" "")
        cur=
    elif [[ ${#words[@]} -gt 2 && ${words[-2]} == = ]]; then
        words=("${words[@]:0:${#words[@]}-2}" "$cur")
    fi
    # of a list the last item is meant
    local before=
    [[ $cur == *,* && $cur != -* ]] && before=${cur%,*},
    mapfile -t COMPREPLY < <(compgen -P "$before" -W "$(fleetdump complete line -- "${words[@]}" 2>/dev/null)" -- "${cur##*,}")
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace; fi
}
complete -o default -F _fleetdump fleetdump
