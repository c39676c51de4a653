# Completion of stoop for fish. The command itself knows what may follow.
function __stoop_complete
    set -l before (commandline -opc)
    set -e before[1]
    set -l typed (commandline -ct | string unescape)
    stoop complete fish -- $before "$typed" 2>/dev/null
end
complete -c stoop -f -k -a '(__stoop_complete)'
