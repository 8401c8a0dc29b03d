# utspolicy(1) completion

function __utspolicy_has_no_command
    not __fish_seen_subcommand_from check explain list who names hosts fmt
end

# The first word after explain is the user.
function __utspolicy_wants_user
    set -l words (commandline -opc)
    test "$words[-1]" = explain
end

function __utspolicy_names
    utspolicy list --self --names $argv[1] 2>/dev/null
end

complete -c utspolicy -f
complete -c utspolicy -n __utspolicy_has_no_command -a check -d 'Show errors and likely mistakes'
complete -c utspolicy -n __utspolicy_has_no_command -a explain -d 'Say whether a user may use names, and why'
complete -c utspolicy -n __utspolicy_has_no_command -a list -d 'Show all rules, or those for a user'
complete -c utspolicy -n __utspolicy_has_no_command -a who -d 'Show who may use a name, and by which rule'
complete -c utspolicy -n __utspolicy_has_no_command -a names -d 'Print the permitted host names'
complete -c utspolicy -n __utspolicy_has_no_command -a hosts -d 'Print the names as lines for /etc/hosts'
complete -c utspolicy -n __utspolicy_has_no_command -a fmt -d 'Print a file in the standard layout'
complete -c utspolicy -n 'not __fish_seen_subcommand_from fmt' -l policy-dir -xa '(__fish_complete_directories)' -d 'Read the policy in this folder'
complete -c utspolicy -s h -l help -d 'Show a summary'
complete -c utspolicy -s V -l version -d 'Show the version'
complete -c utspolicy -n '__fish_seen_subcommand_from explain list names hosts' -l user -xa '(__fish_complete_users)' -d 'The user, as name or id'
complete -c utspolicy -n '__fish_seen_subcommand_from explain list names hosts' -l group -xa '(__fish_complete_groups)' -d 'A group of the user'
complete -c utspolicy -n '__fish_seen_subcommand_from explain list names hosts' -l self -d 'You, with your current groups'
complete -c utspolicy -n '__fish_seen_subcommand_from explain who' -s n -l hostname -xa '(__utspolicy_names hostname)' -d 'The requested host name'
complete -c utspolicy -n '__fish_seen_subcommand_from explain who' -s d -l domainname -xa '(__utspolicy_names domainname)' -d 'The requested NIS domain name'
complete -c utspolicy -n '__fish_seen_subcommand_from check explain list who names' -l json -d 'Write JSON for programs'
complete -c utspolicy -n '__fish_seen_subcommand_from check' -l strict -d 'Fail if there is a warning'
complete -c utspolicy -n 'not __fish_seen_subcommand_from who fmt' -l no-lookup -d 'Look up no users and groups here'
complete -c utspolicy -n '__fish_seen_subcommand_from check' -l as -x -d 'The name that the file will have'
complete -c utspolicy -n '__fish_seen_subcommand_from explain' -l brief -d 'Print one line only'
complete -c utspolicy -n '__fish_seen_subcommand_from explain' -l nearest -d 'Print only the nearest permitted names'
complete -c utspolicy -n '__fish_seen_subcommand_from list' -l names -xa 'hostname domainname' -d 'Print only the permitted names'
complete -c utspolicy -n '__fish_seen_subcommand_from explain' -l via -xa 'direct service' -d 'Answer for one mode only'
complete -c utspolicy -n '__fish_seen_subcommand_from hosts' -l network -xa 127.0.1.0/24 -d 'Take the addresses from this network'
complete -c utspolicy -n '__fish_seen_subcommand_from explain' -n __utspolicy_wants_user -a '(__fish_complete_users)'
complete -c utspolicy -n '__fish_seen_subcommand_from explain who' -n 'not __utspolicy_wants_user' -a '(__utspolicy_names hostname)'
complete -c utspolicy -n '__fish_seen_subcommand_from fmt' -l write -d 'Replace the file'
complete -c utspolicy -n '__fish_seen_subcommand_from check fmt' -F
