# utsrun(1) completion

# Prints the command and its arguments, without the word at the cursor. Fails if there is no command yet.
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

# After the options, complete as the command itself would.
function __utsrun_complete_command
    set -l words (__utsrun_command) (commandline -ct)
    complete --do-complete="$words"
end

# The name patterns that the policy permits the user; wildcards stay wildcards.
function __utsrun_names
    utspolicy list --self --names $argv[1] 2>/dev/null
end

complete -c utsrun -f
complete -c utsrun -n __utsrun_has_no_command -s n -l hostname -xa '(__utsrun_names hostname)' -d 'Set the host name'
complete -c utsrun -n __utsrun_has_no_command -s d -l domainname -xa '(__utsrun_names domainname)' -d 'Set the NIS domain name'
complete -c utsrun -n __utsrun_has_no_command -l via -xa 'auto direct service' -d 'Select direct mode or the service'
complete -c utsrun -n __utsrun_has_no_command -l die-with-parent -d 'Kill the command when utsrun or its parent ends'
complete -c utsrun -n __utsrun_has_no_command -l status-fd -x -d 'Write JSON when the command starts and ends'
complete -c utsrun -n __utsrun_has_no_command -s v -l verbose -d 'Print which rule granted the request'
complete -c utsrun -n __utsrun_has_no_command -s c -l check -d 'Only say whether the policy permits the names'
complete -c utsrun -n __utsrun_has_no_command -s l -l list -d 'Show the rules for you'
complete -c utsrun -n __utsrun_has_no_command -l ps -d 'Show your commands that are running'
complete -c utsrun -n __utsrun_has_no_command -l json -d 'With --ps: write JSON for programs'
complete -c utsrun -n __utsrun_has_no_command -s h -l help -d 'Show a summary'
complete -c utsrun -n __utsrun_has_no_command -s V -l version -d 'Show the version'
complete -c utsrun -a '(__utsrun_complete_command)'
