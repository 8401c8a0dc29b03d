#pragma once

/*
 * For tests of the terminal's relay: a terminal of the test's, which is the user at its keyboard,
 * and a command. Between them a child plays utsrun; it is a job of a shell's that does nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>
#include <termios.h>
#include <unistd.h>

/* In a child, where cmocka's assertions do not reach. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            dprintf(stage_stderr, "%s:%d: " #condition ": %m\n", __FILE__, __LINE__);              \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* What the test asks the player for; each is answered by a number. */
enum order {
    RESTORE = 'r',  /* and relay nothing, as if stopped, until CONTINUE */
    CONTINUE = 'c', /* as after SIGCONT */
    RESIZE = 'w',
    BACKGROUND = 'b', /* what the shell does for `bg` */
    FOREGROUND = 'f', /* and for `fg` */
    UNREAD = 'u',     /* how many bytes wait in the user's terminal */
    ROUNDS = 'n',     /* how many times poll(2) returned */
    SIGNALS = 's',    /* how many signals the terminal has sent to the player's group */
    IN_FRONT = 'i',   /* 1 if the command is in the foreground of its pty */
};

struct script {
    void (*command)(void);
    bool is_late;       /* the command has ended before anything is relayed */
    tcflag_t local_off; /* flags that the user's terminal has not when utsrun starts */
};

struct stage {
    int keyboard; /* the outer pty's master: keyboard and screen */
    int control;  /* of the player */
    int report;   /* of the command */
    pid_t shell;
    struct termios before; /* mode of the user's terminal */
};

/* What commands use; their terminal is descriptor 1. */
extern int stage_stderr, stage_report;

void stage_open(struct stage *stage, const struct script *script);
void stage_close(struct stage *stage);
int ask(const struct stage *stage, enum order order);
void type(const struct stage *stage, const char *keys);
void await_report(const struct stage *stage, const char *expected);
size_t screen_read(const struct stage *stage, char *bytes, size_t size, int wait_ms);
void await_screen(const struct stage *stage, const char *expected);
struct termios user_mode(const struct stage *stage);
void assert_mode(const struct stage *stage, const struct termios *expected);
struct termios user_set(const struct stage *stage, tcflag_t off, tcflag_t on);
void await_mode(const struct stage *stage, const struct termios *expected);
void assert_no_spin(const struct stage *stage);
struct termios raw_of(struct termios mode);

void say(const char *text);
char hear(void);
void tty_set(tcflag_t local_off);
void tty_set_raw(void);
void tty_set_raw_with_stop(void);
_Noreturn void command_idle(void);
_Noreturn void command_idle_raw(void);
void command_report_input(void);
