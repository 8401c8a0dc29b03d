# utsrsh(1) completion

# Prints the words after the host and the options that follow it, without the word at the cursor. Fails if there
# is no host yet.
function __utsrsh_command
    set -l words (commandline -opc)
    set -l host
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case --
                if test -n "$host"
                    set -e words[1]
                    break
                end
            case '-*'
                string match -qr '^-[1246AaCfGgKkMNnqsTtVvXxYy]*[BbcDEeFIiJLlmOoPpQRSWw]$' -- $words[1]
                and set -e words[1]
            case '*'
                test -n "$host"; and break
                set host $words[1]
        end
        set -e words[1]
    end
    test -n "$host"; or return 1
    string escape -- $words
    return 0
end

function __utsrsh_has_no_host
    not __utsrsh_command >/dev/null
end

function __utsrsh_has_no_command
    test -z "$(__utsrsh_command)"
end

function __utsrsh_complete_command
    set -l words (__utsrsh_command); or return
    set -a words (commandline -ct)
    complete --do-complete="$words"
end

# The names that the policy permits the user; those with a blank are no hosts.
function __utsrsh_hosts
    utspolicy list --self --names hostname 2>/dev/null | string match -v '* *'
end

complete -c utsrsh -f
complete -c utsrsh -n __utsrsh_has_no_host -a '(__utsrsh_hosts)'
complete -c utsrsh -n __utsrsh_has_no_command -s E -rF -d 'Append messages to a file'
complete -c utsrsh -n __utsrsh_has_no_command -s f -d 'Go to the background when the command runs'
complete -c utsrsh -n __utsrsh_has_no_command -s G -d 'Print user, host and port, and run nothing'
complete -c utsrsh -n __utsrsh_has_no_command -s l -xa '(id -un)' -d 'The user, which can only be yourself'
complete -c utsrsh -n __utsrsh_has_no_command -s n -d 'The command reads from /dev/null'
complete -c utsrsh -n __utsrsh_has_no_command -s q -d 'Print no warnings'
complete -c utsrsh -n __utsrsh_has_no_command -s s -d 'The command is the name of a subsystem'
complete -c utsrsh -n __utsrsh_has_no_command -s T -d 'The command gets no terminal'
complete -c utsrsh -n __utsrsh_has_no_command -s t -d 'The command gets the terminal'
complete -c utsrsh -n __utsrsh_has_no_command -s V -d 'Print the version'
complete -c utsrsh -n __utsrsh_has_no_command -s v -d 'Print which rule permits the name'
complete -c utsrsh -a '(__utsrsh_complete_command)'
