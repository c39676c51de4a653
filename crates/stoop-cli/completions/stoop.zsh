#compdef stoop
# Completion of stoop for zsh. The command itself knows what may follow.
_stoop() {
    local line value about
    local -a ended ended_shown open open_shown
    for line in "${(@f)$(stoop complete zsh -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        value=${line%%$'\t'*} about=${line#*$'\t'}
        [[ -n $value ]] || continue
        line=$value${about:+  -- $about}
        # More is to follow a directory, a kind, or an item of a list.
        if [[ $value == *[/:=,@] ]]; then
            open+=("$value") open_shown+=("$line")
        else
            ended+=("$value") ended_shown+=("$line")
        fi
    done
    # A home directory stays as it was typed.
    local -a quoting
    [[ $PREFIX == '~'* ]] && quoting=(-Q)
    (( $#ended )) && compadd $quoting -l -V stoop -d ended_shown -a ended
    (( $#open )) && compadd $quoting -l -S '' -V stoop-open -d open_shown -a open
    (( $#ended + $#open ))
}
if [[ $funcstack[1] == _stoop ]]; then
    _stoop "$@"
else
    compdef _stoop stoop
fi
