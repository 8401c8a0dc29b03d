# utsrun(1) completion

# The words from the command on, without the one at the cursor. Fails if that is still an option's.
function __utsrun_command
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case --
                set -e words[1]
                string escape -- $words
                return 0
            case --hostname --domainname --via --status-fd
                set -e words[1]
            case '--*'
            case '-*'
                string match -qr '^-[vclhV]*[nd]$' -- $words[1]
                and set -e words[1]
            case '*'
                string escape -- $words
                return 0
        end
        set -e words[1]
    end
    return 1
end

function __utsrun_has_no_command
    not __utsrun_command >/dev/null
end

# Behind the options it is the command's own completion.
function __utsrun_complete_command
    set -l words (__utsrun_command) (commandline -ct)
    complete --do-complete="$words"
end

# Names that the user may have, as the policy has them: wildcards stay wildcards.
function __utsrun_names
    utspolicy list --self --names $argv[1] 2>/dev/null
end

complete -c utsrun -f
complete -c utsrun -n __utsrun_has_no_command -s n -l hostname -xa '(__utsrun_names hostname)' -d 'The host name'
complete -c utsrun -n __utsrun_has_no_command -s d -l domainname -xa '(__utsrun_names domainname)' -d 'The NIS domain name'
complete -c utsrun -n __utsrun_has_no_command -l via -xa 'auto direct service' -d 'How to ask for the name'
complete -c utsrun -n __utsrun_has_no_command -l die-with-parent -d 'Kill the command when utsrun or its parent ends'
complete -c utsrun -n __utsrun_has_no_command -l status-fd -x -d 'Tell in JSON that the command runs, and how it ended'
complete -c utsrun -n __utsrun_has_no_command -s v -l verbose -d 'Say which rule granted it'
complete -c utsrun -n __utsrun_has_no_command -s c -l check -d 'Only say whether the policy gives the names'
complete -c utsrun -n __utsrun_has_no_command -s l -l list -d 'Show the rules that are for you'
complete -c utsrun -n __utsrun_has_no_command -s h -l help -d 'Show a summary'
complete -c utsrun -n __utsrun_has_no_command -s V -l version -d 'Show the version'
complete -c utsrun -a '(__utsrun_complete_command)'
