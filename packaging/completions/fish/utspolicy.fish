# utspolicy(1) completion

function __utspolicy_has_no_command
    not __fish_seen_subcommand_from check explain list fmt
end

function __utspolicy_names
    utspolicy list --self --names $argv[1] 2>/dev/null
end

complete -c utspolicy -f
complete -c utspolicy -n __utspolicy_has_no_command -a check -d 'What is wrong, and what is hardly meant'
complete -c utspolicy -n __utspolicy_has_no_command -a explain -d 'May somebody have these names, and why'
complete -c utspolicy -n __utspolicy_has_no_command -a list -d 'The rules, or those for somebody'
complete -c utspolicy -n __utspolicy_has_no_command -a fmt -d 'A file in the usual layout'
complete -c utspolicy -l policy-dir -xa '(__fish_complete_directories)' -d 'Read the policy there'
complete -c utspolicy -s h -l help -d 'Show a summary'
complete -c utspolicy -s V -l version -d 'Show the version'
complete -c utspolicy -n '__fish_seen_subcommand_from explain list' -l user -xa '(__fish_complete_users)' -d 'A name or an id'
complete -c utspolicy -n '__fish_seen_subcommand_from explain list' -l group -xa '(__fish_complete_groups)' -d 'As a group of theirs'
complete -c utspolicy -n '__fish_seen_subcommand_from explain list' -l self -d 'You, with the groups that you have now'
complete -c utspolicy -n '__fish_seen_subcommand_from explain' -s n -l hostname -xa '(__utspolicy_names hostname)' -d 'The name that is asked for'
complete -c utspolicy -n '__fish_seen_subcommand_from explain' -s d -l domainname -xa '(__utspolicy_names domainname)' -d 'The NIS domain name that is asked for'
complete -c utspolicy -n '__fish_seen_subcommand_from check explain list' -l json -d 'For programs'
complete -c utspolicy -n '__fish_seen_subcommand_from check' -l strict -d 'Warnings count'
complete -c utspolicy -n '__fish_seen_subcommand_from explain' -l brief -d 'One line'
complete -c utspolicy -n '__fish_seen_subcommand_from explain' -l nearest -d 'Only what may be had instead'
complete -c utspolicy -n '__fish_seen_subcommand_from list' -l names -xa 'hostname domainname' -d 'Only the names that may be had'
complete -c utspolicy -n '__fish_seen_subcommand_from explain' -l via -xa 'direct service' -d 'If only one way is meant'
complete -c utspolicy -n '__fish_seen_subcommand_from fmt' -l write -d 'Change the file'
complete -c utspolicy -n '__fish_seen_subcommand_from fmt' -F
