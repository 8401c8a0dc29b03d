#include "launcher/rsh-command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "utsbroker/base.h"

/* Where OpenSSH's server of sftp(1) is: Debian; Alpine and Arch; Fedora; others. NULL: nowhere. */
static char *sftp_server_find(void) {
    static char paths[][48] = {"/usr/lib/openssh/sftp-server", "/usr/lib/ssh/sftp-server",
                               "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server"};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(paths); i++)
        if (access(paths[i], X_OK) == 0)
            return paths[i];
    return NULL;
}

/* Joins the words by blanks, as ssh(1) does: the shell splits them again. NULL without memory. */
static char *words_join(char *const *words) {
    size_t size = 1;
    char *line, *at;

    for (size_t i = 0; words[i] != NULL; i++)
        size += strlen(words[i]) + 1;
    line = malloc(size);
    at = line;
    for (size_t i = 0; line != NULL && words[i] != NULL; i++) {
        size_t n = strlen(words[i]);

        if (i > 0)
            *at++ = ' ';
        memcpy(at, words[i], n);
        at += n;
    }
    if (at != NULL)
        *at = '\0';
    return line;
}

/* Has the shell of @options run @line. */
static int shell_build(struct rsh_command *command, char *line) {
    static char option[] = "-c";

    command->line = line;
    command->words[0] = options_choose_shell();
    command->words[1] = option;
    command->words[2] = line;
    return line == NULL ? -ENOMEM : 0;
}

/*
 * Gives @options the command that @asked asks for. It lives in @command, whose line the caller
 * frees. Returns 0; RSH_COMMAND_E_NO_SUBSYSTEM if it is not there; -ENOMEM.
 */
int rsh_command_build(struct rsh_command *command, struct options *options,
                      const struct rsh_options *asked) {
    *command = (struct rsh_command){.line = NULL};
    options->command = command->words;
    if (asked->is_subsystem) {
        if (strcmp(asked->words[0], "sftp") == 0)
            command->words[0] = sftp_server_find();
        return command->words[0] != NULL ? 0 : RSH_COMMAND_E_NO_SUBSYSTEM;
    }
    if (asked->words[0] != NULL)
        return shell_build(command, words_join(asked->words));
    if (asked->remote_command[0] != '\0')
        return shell_build(command, strdup(asked->remote_command));
    command->words[0] = options_choose_shell();
    options->is_login = true;
    return 0;
}
