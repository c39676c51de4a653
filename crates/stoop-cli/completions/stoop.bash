# Completion of stoop for bash. The command itself knows what may follow.
_stoop() {
    mapfile -t COMPREPLY < <(stoop complete bash -- "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
    # More is to follow a directory, a kind, or an item of a list.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/:=,@] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _stoop stoop
