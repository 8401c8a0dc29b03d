#include "broker/service/command.h"

#include <signal.h>

#include "broker/session/session-messages.h"

/* Sends @signal_number to the command and to its process group, which the gate made. */
void command_end(const struct child *command, int signal_number) {
    if (!reaper_is_alive(command))
        return;
    (void)kill(-command->pid, signal_number);
    reaper_signal(command, signal_number);
    reaper_signal(command, SIGCONT);
}

/* Kills what became of a gate: a command may have children already. */
void command_kill(const struct child *command) {
    if (reaper_is_alive(command))
        (void)kill(-command->pid, SIGKILL);
    reaper_signal(command, SIGKILL);
}

/* Which signal the command gets when its launcher ends, by the bits of SESSION_GRANTED; 0: none. */
int command_choose_signal(uint32_t bits) {
    if ((bits & SESSION_DIES_WITH_LAUNCHER) != 0)
        return SIGKILL;
    return (bits & SESSION_HANGS_UP) != 0 ? SIGHUP : 0;
}

/*
 * The launcher has ended. SIGHUP is for the whole process group, as when a terminal hangs up: the
 * command may be a shell that waits for others.
 */
void command_hang_up(const struct child *command, int signal_number) {
    if (signal_number == 0 || !reaper_is_alive(command))
        return;
    if (signal_number == SIGKILL || kill(-command->pid, signal_number) < 0)
        reaper_signal(command, signal_number);
    (void)kill(-command->pid, SIGCONT);
}
