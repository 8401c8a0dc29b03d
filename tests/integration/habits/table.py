"""The habits that `compare` compares: what people do at a terminal with a command.

A habit is typed in a shell. Its text has `$R` where utsrun stands: the variable is empty for the run without
utsrun, so that what is typed, and shown by the shell, is the same in both.
"""


class Wait:
    """Waits for a text on the terminal, after what was waited for before."""

    def __init__(self, text):
        self.text = text


class Resize:
    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns


class File:
    """Waits until a file in the habit's folder has something in it."""

    def __init__(self, name):
        self.name = name


class Stopped:
    """Waits until a process of the habit with this name is stopped: a group is not stopped at one moment."""

    def __init__(self, name):
        self.name = name


def in_front():
    """A step: waits until a group other than the shell's is in the foreground. bash says what it continues before
    it gives the terminal away."""


def hang_up():
    """A step: the terminal's window is closed."""


PROMPT = "@> "


P, W = Wait(PROMPT), Wait


# Interactive shells, without any file of configuration. In zsh and fish, `$R` has to be made a list of words;
# fish executes no list that is empty.
SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "dash": ["dash", "-i"],
    "zsh": ["zsh", "-f", "-i", "-o", "shwordsplit", "+o", "promptsp", "+o", "promptcr"],
    "fish": ["fish", "--no-config", "--private", "-i", "-C",
             "set -g R (string split -n ' ' -- $R); set -q R[1]; or set R env; "
             "function fish_prompt; echo -n '%s'; end" % PROMPT],
}

# Commands on the PATH of every habit. Each prints a text as soon as it is there, so that nothing is typed
# before; the text is in nothing that is typed.
PROGRAMS = {
    # waits to be interrupted or stopped
    "hold": "#!/bin/sh\necho holding\nexec sleep 20\n",
    # executes its arguments
    "go": "#!/bin/sh\necho ready\nexec \"$@\"\n",
    # the same, with a prompt of its own for a shell
    "inner": "#!/bin/sh\nPS1='in: ' exec \"$@\"\n",
    # waits until a file has something in it
    "until-written": "#!/bin/sh\nuntil [ -s \"$1\" ]; do sleep .01; done\n",
    # tells the terminal's new size
    "resized": "#!/usr/bin/python3\nimport os, signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])\n"
               "signal.signal(signal.SIGWINCH, lambda *a: None)\nprint('holding', flush=True)\nfor i in range(2):\n"
               "    signal.sigwait([signal.SIGWINCH])\n    print('size', *os.get_terminal_size(), flush=True)\n",
    # asks for one line
    "ask": "#!/bin/sh\nprintf 'name? '\nread a\necho \"got <$a>\"\n",
    # asks for two lines
    "ask2": "#!/bin/sh\nprintf 'name? '\nread a\nprintf 'more? '\nread b\necho \"got <$a> <$b>\"\n",
    # asks on the terminal, wherever its own input and output are
    "ask-tty": "#!/bin/sh\nexec 3<>/dev/tty || exit 9\nprintf 'name? ' >&3\nread a <&3\necho \"got <$a>\" >&3\n",
    # catches what is typed to interrupt it, and goes on
    "catcher": "#!/bin/bash\ntrap 'echo caught' INT QUIT\necho holding\nread a\necho \"read <$a>\"\n",
    # waits for the signals that kill(1) sends
    "target": "#!/usr/bin/python3\nimport signal\n"
              "wanted = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}\n"
              "signal.pthread_sigmask(signal.SIG_BLOCK, wanted)\nprint('targeted', flush=True)\n"
              "print('signal', signal.Signals(signal.sigwait(wanted)).name[3:])\nraise SystemExit(9)\n",
}

HABITS = []


class Habit:
    """@shell: one of SHELLS, in which @steps are typed from its prompt on, and then `exit`; or what `sh -c` is
    to run on a terminal of its own, as `xterm -e` and `ssh -t` do. @needs: programs without which it cannot
    be run. @files: what is in its folder. @result: files of its folder that are compared, too.
    @only_waits: the texts waited for and the exit status are compared, and not the whole screen, because
    programs that paint show not the same twice. @leaves: it leaves processes behind on purpose. @ends: the
    shell ends without `exit`."""

    def __init__(self, name, shell, steps, needs=(), files=None, result=(), only_waits=False, leaves=False,
                 ends=False, term="dumb"):
        self.name, self.shell, self.steps = name, shell, list(steps)
        self.needs = [*needs, *([shell] if shell in SHELLS else [])]
        self.files, self.result = files or {}, result
        self.only_waits, self.leaves, self.ends = only_waits, leaves, ends
        self.term = term
        if only_waits and not result and not any(isinstance(s, Wait) and s is not P for s in self.steps):
            raise ValueError("%s: nothing would be compared" % name)
        typed = ""
        for step in self.steps:
            if isinstance(step, Wait) and step.text in typed:
                raise ValueError("%s: what is typed has the text that is waited for: %r" % (name, step.text))
            typed = step if isinstance(step, str) else ""


def habit(name, *steps, shell="bash", **more):
    HABITS.append(Habit(name, shell, steps, **more))


def line(text):
    """A habit's usual beginning: one line, and what comes of it up to the next prompt."""
    return [text + "\n", P]


def lines(*texts):
    return sum([[text + "\n", P] for text in texts[:-1]], []) + [texts[-1] + "\n"]


C, D, Z, QUIT, ESC, DEL = "\x03", "\x04", "\x1a", "\x1c", "\x1b", "\x7f"

# Exit status, signals, what is inherited.

habit("exit-status", *lines("$R sh -c 'exit 7'; echo $?", "$R true && echo yes", "$R false || echo no",
                            "! $R false; echo $?", "$R sh -c 'exit 200'"))
habit("no-such-program", *lines("$R no-such-program 2>/dev/null; echo $?", "$R /etc/passwd 2>/dev/null; echo $?"))
habit("killed-by-signals", *lines(
    "ulimit -c 0", "for s in HUP QUIT KILL SEGV PIPE ALRM TERM USR1 ABRT; do $R sh -c \"kill -$s \\$\\$\"; "
    "echo $s $?; done"))
habit("killed-by-int", *lines("$R sh -c 'kill -INT $$'; echo not seen", "echo $?"))
habit("kill-target", *lines("bash ./script"), needs=["python3"], files={
    "script": "set -m\nfor s in HUP INT QUIT TERM USR1 USR2; do\n$R target >$s &\nuntil-written $s\nkill -$s $!\n"
              "wait $!\necho $s $?\ncat $s\ndone\n"})
habit("kill-9", *lines("$R hold >f &", "until-written f; kill -9 $!; wait $!", "echo $?"))
habit("kill-stop-cont", "$R target >f &\n", P,
      "until-written f; kill -STOP $!; until jobs | grep Stop; do sleep .01; done\n",
      W("Stopped"), "kill -CONT $!; until jobs | grep Run; do sleep .01; done\n", W("Running"), P,
      "kill $!; wait $!\n", P, "cat f\n",
      W("signal TERM"), needs=["python3"], only_waits=True)
habit("umask", *lines("umask 027; $R sh -c umask; $R touch f; stat -c %a f"))
habit("ulimit", *lines("ulimit -n 77; ulimit -c 0; ulimit -s 4096; $R bash -c 'ulimit -a'"))
habit("environment", *lines("A=b $R sh -c 'echo $A'", "$R env | grep -c ^HABIT="))
habit("signals-ignored", *lines("(trap '' USR1 HUP; $R sh -c 'kill -USR1 $$; kill -HUP $$; echo alive')"))
habit("nice", *lines("nice -n 5 $R nice", "$R nice -n 3 nice"))
habit("timeout", *lines("timeout .3 $R sleep 10; echo $?", "$R timeout .3 sleep 10; echo $?",
                        "timeout --foreground .3 $R sleep 10; echo $?"))
habit("time", *lines("TIMEFORMAT=took; time $R echo one"))
habit("working-folder", *lines("mkdir d; cd d; $R sh -c 'pwd | sed s,.*/,,'", "rmdir ../d; $R echo still"))
habit("terminal-or-not", *lines("for n in 0 1 2; do $R test -t $n; echo $?; done",
      "$R test -t 1 | cat; echo ${PIPESTATUS[0]}",
                                "$R test -t 0 </dev/null; echo $?", "$R ls --color=auto -d /"))

# Redirections, pipelines, here-documents.

habit("pipeline", *lines("seq 5 | $R tac | $R head -2", "$R seq 300000 | md5sum", "$R seq 9 | $R cat | $R wc -l"))
habit("pipestatus", *lines("false | $R sh -c 'exit 3' | true; echo ${PIPESTATUS[@]}",
                           "$R yes | head -2; echo ${PIPESTATUS[@]}", "yes | $R head -2; echo ${PIPESTATUS[@]}"))
habit("here-document", "$R cat <<x\n", "one\n", "two\n", "x\n", P, *lines("$R cat <<<three"))
habit("standard-error", *lines("$R sh -c 'echo out; echo err >&2' >o 2>e; head o e",
                               "$R sh -c 'echo out; echo err >&2' 2>&1 | cat", "$R sh -c 'echo err >&2' 2>>e; cat e"))
habit("process-substitution", *lines("diff <($R seq 3) <($R seq 4)", "$R cat <(echo inside)",
                                     "$R seq 3 > >(cat >f); wait; until [ -s f ]; do :; done; cat f"))
habit("more-descriptors", *lines("exec 5<>f; $R sh -c 'echo five >&5'; cat f"))
habit("closed-descriptors", *lines("$R cat <&-; echo $?", "$R /bin/echo lost >&-; echo $?",
      "$R ls nothing 2>&-; echo $?"))
habit("coproc", "coproc $R cat; echo through >&${COPROC[1]}; read a <&${COPROC[0]}; echo got $a\n", W("got through"),
      P,
      "eval \"exec ${COPROC[1]}>&-\"; wait; echo do''ne\n", W("done"), only_waits=True)
habit("command-substitution", *lines("x=$($R echo 3); echo $((x + 1))", "echo \"$($R printf 'a\\n\\n')\"",
                                     "x=$($R false); echo $?"))
habit("binary-in-a-pipe", *lines("head -c 200000 /dev/zero | $R md5sum", "printf '\\0\\1\\377' | $R od -c"))
habit("binary-on-the-terminal", *lines("$R printf 'a\\001\\377\\b\\t\\v\\r\\nb\\n'"))
habit("large-output", *lines("$R seq 20000"))
habit("while-read", *lines("seq 3 >f; while read a; do $R true; echo $a; done <f",
                           "while read a; do $R sh -c \"echo $a; cat\"; done <f"))
habit("script-from-a-pipe", *lines("echo 'echo piped; exit 4' | $R sh; echo $?", "$R sh -s a b <<<'echo $2'"))
habit("xargs", *lines("seq 4 | xargs -n1 -P3 $R echo | sort", "seq 3 | $R xargs -n1 echo",
      "echo 1 | xargs $R false; echo $?"))
habit("find-exec", *lines("touch a b; find . -name '[ab]' -exec $R basename {} \\; | sort"))
habit("closed-output", *lines("cat <($R sh -c 'echo x; exec >&-; sleep 1; : >f'); ls"), leaves=True)
habit("nohup-in-front", *lines("nohup $R sh -c 'echo out'; cat nohup.out"))

# Lines that are typed.

habit("cat", "$R go cat\n", W("ready\r\n"), "first\n", W("first\r\nfirst"), "second\n", W("second\r\nsecond"), D)
habit("ask", "$R ask\n", W("name? "), "Ann\n", W("got <Ann>"))
habit("ask2", "$R ask2\n", W("name? "), "Ann\n", W("more? "), "Bob\n", W("got <Ann> <Bob>"))
habit("edit-a-line", "$R ask\n", W("name? "), "ab" + DEL + "c\x15x y\x17zz\n", W("got <x zz>"))
habit("edit-utf-8", *line("stty iutf8"), "$R ask\n", W("name? "), "xé" + DEL + "y\n", W("got <xy>"))
habit("end-of-file-in-a-line", "$R go cat\n", W("ready\r\n"), "half" + D, W("halfhalf"), D + D, P, "echo after\n")
habit("end-of-file-at-once", "$R go cat\n", W("ready\r\n"), D, P, "$R go sh -c 'read a; echo \"<$?>\"'\n",
      W("ready\r\n"), D, W("<1>"))
habit("literal-next", "$R go od -c\n", W("ready\r\n"), "\x16" + C + "\x16" + D + "\n", D)
habit("control-s-control-q", "$R ask2\n", W("name? "), "\x13", "Ann\n", "\x11", W("more? "), "x\n",
      W("got <Ann> <x>"))
habit("long-line", "$R go wc -c\n", W("ready\r\n"), "x" * 3000 + "\n", D, W("3001"))
habit("too-long-line", "$R go wc -c\n", W("ready\r\n"), "x" * 5000 + "\n", D)
habit("pasted-lines", "$R sh -c 'go echo; cat >f'\n", W("ready\r\n\r\n"),
      "".join("line %d\n" % i for i in range(300)), D, P, "wc f; md5sum f\n")
habit("pasted-to-a-shell", "$R sh -c 'go echo; PS1= exec dash >f'\n", W("ready\r\n\r\n"),
      "".join("echo %d\n" % i for i in range(200)) + "exit 3\n", P,
      "echo $?; md5sum f\n")
habit("read-silently", "$R bash -c 'read -s -p pa\"\"ss: a; echo; echo \"<$a>\"'\n", W("pass:"), "secret\n",
      W("<secret>"))
habit("read-one-key", "$R bash -c 'read -n1 -p ke\"\"y: a; echo; echo \"<$a>\"'\n", W("key:"), "k", W("<k>"))
habit("read-with-editing", "$R bash -c 'read -e -p ed\"\"it: a; echo \"<$a>\"'\n", W("edit:"), "abc\x01x\n",
      W("<xabc>"))
habit("read-with-a-time-limit", "$R bash -c 'read -t .3 -p soon: a; s=$?; echo; echo \"<$s>\"'\n", W("<142>"), P,
      "$R bash -c 'read -t 9 -p \"so\"\"on: \" a; echo \"<$a>\"'\n", W("soon: "), "now\n", W("<now>"))
habit("select", "$R bash -c 'select a in x y; do echo \"<$a>\"; break; done'\n", W("#? "), "2\n", W("<y>"))
habit("getpass", "$R python3 -c 'import getpass; print(\"<%s>\" % getpass.getpass())'\n", W("Password: "), "secret\n",
      W("<secret>"), needs=["python3"])
habit("input-of-python", "$R python3 -c 'print(\"<%s>\" % input(\"nam\" \"e? \"))'\n", W("name? "), "Ann\n",
      W("<Ann>"),
      needs=["python3"])
habit("line-by-line", "for i in 1 2; do $R go head -n1; done\n", W("ready\r\n"), "one\n", W("one\r\none\r\n"),
      W("ready\r\n"), "two\n", W("two\r\ntwo"))
habit("read-between-commands", "go true; read a; $R true; go true; read b; $R go cat; echo \"<$a$b>\"\n",
      W("ready\r\n"), "x\n", W("ready\r\n"), "y\n",
      W("ready\r\n"), "z\n", W("z\r\nz"), D,
      W("<xy>"))
habit("cursor-report", "$R bash -c 'IFS= read -rs -d R -p $'\"'\\e[6n'\"' x; printf %q \"$x\"'\n", W("\x1b[6n"),
      "\x1b[5;7R",
      W("[5;7'"))

# What becomes of the terminal's mode and size.

habit("stty-a", *lines("$R stty -a", "stty intr ^X -echoctl erase ^H; $R stty -a", "stty sane; $R stty -a"))
habit("mode-that-stays", *lines("sh -c '$R stty -echo; stty -a; stty echo; $R stty -a'"))
habit("raw-mode", "$R sh -c 'stty raw -echo; go printf \"\"; dd bs=1 count=3 2>/dev/null | od -c; stty sane'\n",
      W("ready"), "a" + C + Z,
      W("0000003"), P, "stty -a\n")
habit("no-canonical-mode-before", "sh -c 'stty -icanon min 2; $R go dd bs=9 count=1 2>/dev/null; stty icanon'\n",
      W("ready\r\n"), "x", "y", P, "echo after\n")
habit("size", *lines("$R stty size", "$R stty size | cat", "$R sh -c 'stty size </dev/tty' </dev/null | cat",
      "$R tput cols"))
habit("resize", "$R resized\n", W("holding\r\n"), Resize(33, 77), W("size 77 33"), Resize(20, 50), W("size 50 20"), P,
      "stty size\n", needs=["python3"])
habit("resize-an-editing-shell", "$R inner bash --norc --noprofile\n", W("in: "), Resize(40, 132), W("\rin: "),
      "echo $LINES $COLUMNS\n",
      W("40 132"), W("in: "), "exit\n", P, "stty size\n")
habit("mode-after-kill", "$R sh -c 'stty -echo; kill -9 $$'\n", P, "stty -a\n")

# Interrupting.

for shell in ("bash", "dash", "zsh"):
    habit("interrupt-" + shell, "$R hold\n", W("holding\r\n"), C, P, "echo $?\n", shell=shell)
    habit("interrupt-loop-" + shell, "for i in 1 2 3; do $R hold; done; echo after\n", W("holding\r\n"), C, P,
          "echo $?\n", shell=shell)
    habit("interrupt-script-" + shell, shell + " ./loop\n", W("holding\r\n"), C, P, "echo $?\n", needs=[shell],
          files={"loop": "for i in 1 2 3; do $R hold; done\necho after\n"} if shell != "zsh" else
          {"loop": "setopt shwordsplit\nfor i in 1 2 3; do $R hold; done\necho after\n"})
habit("interrupt-fish", "$R hold\n", W("holding\r\n"), C, P, "echo $status\n", W("130"), P, shell="fish",
      only_waits=True)
habit("interrupt-loop-fish", "for i in 1 2 3; $R hold; end; echo after\n", W("holding\r\n"), C, P,
      "echo \"= $status\"\n", W("= 130"),
      shell="fish", only_waits=True)
habit("interrupt-make", "make -s\n", W("holding\r\n"), C, P, "echo $?\n", needs=["make"],
      files={"Makefile": "all:\n\t-$$R hold\n\t@echo after\n"})
habit("interrupt-find-exec", "touch a b; find a b -exec $R hold \\;\n", W("holding\r\n"), C, P, "echo $?\n")
habit("interrupt-xargs", "seq 3 | xargs -n1 sh -c '$R hold'\n", W("holding\r\n"), C, P, "echo $?\n")
habit("interrupt-python", "python3 ./parent\n", W("holding\r\n"), C, W("handler"), P, "echo $?\n", needs=["python3"],
      files={"parent": "import os, signal, subprocess\n"
                       "signal.signal(signal.SIGINT, lambda *a: print('handler', flush=True))\n"
                       "print(subprocess.call(os.environ['R'].split() + ['hold']))\n"})
habit("interrupt-python-default", "python3 ./parent 2>/dev/null\n", W("holding\r\n"), C, P, "echo $?\n",
      needs=["python3"],
      files={"parent": "import os, subprocess\n"
                       "subprocess.call(os.environ['R'].split() + ['hold'])\nprint('after')\n"})
habit("interrupt-pipeline", "$R hold | cat\n", W("holding\r\n"), C, P, "echo ${PIPESTATUS[@]}\n")
habit("interrupt-caught", "bash ./script\n", W("holding\r\n"), C, W("caught"), "x\n", W("read <x>"), W("after"),
      files={"script": "$R catcher\necho after\n"})
habit("interrupt-caught-dash", "dash ./script\n", W("holding\r\n"), C, W("caught"), "x\n", W("read <x>"), P,
      "echo $?\n",
      files={"script": "$R catcher\necho after\n"})
habit("interrupt-trap-of-a-script", "bash ./script\n", W("holding\r\n"), C, W("outer"), P, "echo $?\n",
      files={"script": "trap 'echo outer' INT\n$R hold\necho after $?\n"})
habit("interrupt-a-background-wait",
      "$R bash -c 'trap \"echo cau\\\"\\\"ght; exit 3\" INT; echo hold\"\"ing; sleep 5 & wait; echo end'\n",
      W("holding\r\n"), C, W("caught"), P, "echo $?\n", leaves=True)
habit("quit", *line("ulimit -c 0"), "$R hold\n", W("holding\r\n"), QUIT, P, "echo $?\n")
habit("quit-script", *line("ulimit -c 0"), "bash ./loop\n", W("holding\r\n"), QUIT, W("holding\r\n"), QUIT,
      W("after"),
      files={"loop": "for i in 1 2; do $R hold; done\necho after\n"})
habit("interrupt-typed-line", "$R catcher\n", W("holding\r\n"), "lost" + C, W("caught"), "kept\n", W("read <kept>"))
habit("interrupt-substitution", "x=$($R sh -c 'echo hold\"\"ing >&2; exec sleep 20')\n", W("holding\r\n"), C, P,
      "echo $?\n")
habit("interrupt-tail", "echo the''re >f; $R tail -f f\n", W("there"), C, P, "echo $?\n")

# Stopping and continuing.

for shell in ("bash", "dash", "zsh"):
    habit("stop-and-fg-" + shell, "$R ask\n", W("name? "), Z, P, "jobs\n", P, "fg\n", W("ask"), "Ann\n",
          W("got <Ann>"), P,
          "echo $?\n", shell=shell)
    habit("background-and-fg-" + shell, "$R hold >f &\n", P, "until-written f\n", P, "echo abc\n", P, "fg\n",
          in_front, C, P,
          "echo $?\n", shell=shell)
habit("stop-and-fg-fish", "$R ask\n", W("name? "), Z, P, "jobs\n", W("stopped"), P, "fg\n", W("ask"), "Ann\n",
      W("got <Ann>"),
      shell="fish", only_waits=True)
habit("stop-and-kill-bash", "$R hold\n", W("holding\r\n"), Z, P,
      "kill %1; while kill -0 %1; do sleep .01; done 2>/dev/null\n", P,
      "jobs >o; echo \"<$(jobs)>\"\n", W("<>"), shell="bash", only_waits=True)
habit("stop-and-kill-dash", "$R hold\n", W("holding\r\n"), Z, P, "kill %1\n", P, "fg\n", P, "echo $?\n",
      shell="dash")  # dash continues it not
habit("stop-and-kill-zsh", "$R hold\n", W("holding\r\n"), Z, P,
      "kill %1; while kill -0 %1; do sleep .01; done 2>/dev/null\n", P,
      "jobs >o; echo \"<$(jobs)>\"\n", W("<>"), shell="zsh", only_waits=True)
habit("stop-bg-fg-interrupt", "$R hold\n", W("holding\r\n"), Z, P, "bg\n", P, "jobs\n", P, "fg\n", in_front, C, P,
      "echo $?\n")
habit("two-stopped-commands", "$R ask\n", W("name? "), Z, P, "$R hold\n", W("holding\r\n"), Z, P, "jobs\n", P,
      "fg %1\n", W("ask"), "A\n",
      W("got <A>"), P, "fg %2\n", in_front, C, P, "echo $?; jobs\n")
habit("stop-script", "sh ./script\n", W("name? "), Z, Stopped("ask"), P, "jobs\n", P, "fg\n", W("script"), "A\n",
      W("got <A>"), W("after"),
      files={"script": "$R ask\necho after\n"})
habit("stop-script-bash", "bash ./script\n", W("name? "), Z, Stopped("ask"), P, "jobs\n", P, "fg\n", W("script"),
      "A\n", W("got <A>"), W("after"),
      files={"script": "$R ask\necho after\n"})
habit("stop-make", "make -s\n", W("name? "), Z, Stopped("ask"), P, "jobs\n", P, "fg\n", W("make"), "A\n",
      W("got <A>"), needs=["make"],
      files={"Makefile": "all:\n\t@$$R ask\n"})
habit("stop-python-parent", "python3 ./parent\n", W("name? "), Z, Stopped("ask"), P, "fg\n", W("parent"), "A\n",
      W("got <A>"), needs=["python3"],
      files={"parent": "import os, subprocess\nprint(subprocess.call(os.environ['R'].split() + ['ask']))\n"})
habit("stop-pipeline", "$R ask | cat\n", W("name? "), Z, Stopped("ask"), P, "jobs\n", P, "fg\n", W("cat"), "A\n",
      W("got <A>"))
habit("stop-itself", "$R sh -c 'kill -STOP $$; echo on'\n", P, "fg\n", W("\non"), P,
      "$R sh -c 'kill -TSTP $$; echo on'\n", P, "fg\n",
      W("\non"))
habit("stop-typed-line", "$R ask\n", W("name? "), "lost" + Z, P, "fg\n", W("ask"), "kept\n", W("got <kept>"))
habit("orphaned-exec", "exec $R ask\n", W("name? "), Z, W("^Z"), "A\n", W("got <A>"), ends=True)
habit("orphaned", W("name? "), Z, W("^Z"), "A\n", W("got <A>"), shell="exec $R ask")
habit("orphaned-interrupt", W("holding\r\n"), Z, W("^Z"), C, shell="exec $R hold")
habit("orphaned-script", "script -qc '$R ask' /dev/null\n", W("name? "), Z, W("^Z"), "A\n", W("got <A>"),
      needs=["script"])
habit("orphaned-script-interrupt", "script -qec '$R hold' /dev/null\n", W("holding\r\n"), Z, W("^Z"), C, P,
      "echo $?\n", needs=["script"])
habit("suspend-inside", "$R inner bash --norc --noprofile\n", W("in: "), "suspend\n", P, "fg\n", W("in: "),
      "exit 3\n", P, "echo $?\n")

# In the background.

for shell in ("bash", "dash", "zsh"):
    habit("background-wait-" + shell, "$R sh -c 'sleep .1; exit 4' & wait $!; echo \"<$?>\"\n", W("<4>"), P,
          "$R sh -c 'exit 3' & wait $!; echo \"<$?>\"\n", W("<3>"), shell=shell, only_waits=True)
habit("background-reader", "$R ask &\n", W("name? "), "until jobs | grep Stop; do sleep .01; done\n", W("Stopped"), P,
      "fg\n", W("ask"), "A\n", W("got <A>"),
      only_waits=True)
habit("background-output", "$R sh -c 'sleep .2; echo la\"\"te' &\n", P, "wait\n", W("late"), only_waits=True)
habit("background-output-tostop", *line("stty tostop"), "$R sh -c 'echo la\"\"te; echo o\"\"n' &\n", P,
      "until jobs | grep Stop; do sleep .01; done\n",
      W("Stopped"), P, "fg\n", W("late"), W("on"), only_waits=True)
habit("background-setsid", "setsid $R sh -c 'echo hold\"\"ing; sleep 1' &\n", W("holding\r\n"), "\n", P,
      "echo a''bc\n", W("\nabc"), P,
      "read a\n", "def\n", P, "echo \"<$a>\"\n", W("<def>"), P, leaves=True, only_waits=True)
habit("background-setsid-cooked", "setsid $R sh -c 'sleep 1; : done' & sleep .3; go cat\n", W("ready\r\n"), "abc\n",
      W("abc\r\nabc"), "def\n", W("def\r\ndef"), D, leaves=True)
habit("background-cooked", "$R hold >f & until-written f; go cat\n", W("ready\r\n"), "abc\n", W("abc\r\nabc"),
      "def\n",
      W("def\r\ndef"), D, P, "kill $!; wait\n", only_waits=True)
habit("background-modes", *lines("$R hold >f &", "until-written f; stty -a", "kill $!; wait $!"))
habit("three-and-input", "python3 ./three\n", W("name? "), "ab" + DEL + "c\n", W("got ac"), needs=["python3"],
      files={"three": "import os, subprocess\n"
                      "p = [subprocess.Popen(os.environ['R'].split() + ['sleep', '1']) for i in range(3)]\n"
                      "print('got ' + input('name? '))\n"
                      "print([q.wait() for q in p])\n"})
habit("three-ended-and-input", "python3 ./three\n", W("name? "), "ab" + DEL + "c\n", W("got ac"), needs=["python3"],
      files={"three": "import os, subprocess\n"
                      "p = [subprocess.Popen(os.environ['R'].split() + ['sleep', '.1']) for i in range(3)]\n"
                      "print([q.wait() for q in p])\n"
                      "print('got ' + input('name? '))\n"})
habit("three-with-output-and-input", "python3 ./three\n", W("name? "), "ab" + DEL + "c\n", W("got ac"),
      needs=["python3"],
      files={"three": "import os, subprocess, sys\n"
                      "r = os.environ['R'].split()\n"
                      "p = [subprocess.Popen(r + ['sh', '-c', 'echo x; sleep 1'], stdout=subprocess.PIPE) for i in range(3)]\n"
                      "print([q.stdout.readline() for q in p])\n"
                      "print('got ' + input('name? '))\n"})
habit("nohup-daemon", "$R sh -c 'nohup sh -c \"sleep .4; echo survived >f\" >/dev/null 2>&1 &'\n", File("f"), P,
      "cat f\n", W("survived"))
habit("daemon", "$R sh -c '(sleep .4; echo survived >f) &'\n", File("f"), P, "cat f\n", W("survived"))
habit("setsid-daemon", "$R setsid sh -c '(sleep .4; echo survived >f) &'\n", File("f"), P, "cat f\n", W("survived"))
habit("late-output", "$R sh -c '(sleep .4; echo la\"\"te) & echo no\"\"w'\n", W("now"), P, W("late"), "\n",
      only_waits=True)
habit("hang-up",
      "$R bash -c 'trap \"echo hup >f; exit\" HUP; echo hold\"\"ing; while :; do read -t 1 < <(sleep 1); done'\n",
      W("holding\r\n"), hang_up, File("f"), result=["f"], only_waits=True, leaves=True)
habit("hang-up-in-the-background", "$R sh -c 'echo hold\"\"ing; sleep 1; echo survived >f' & disown\n",
      W("holding\r\n"), hang_up, File("f"), result=["f"], only_waits=True)
habit("hang-up-default", "$R hold; echo after >f\n", W("holding\r\n"), hang_up, result=["f"], only_waits=True)

# Who has what is typed.

habit("substitution-reads", "x=$($R sh -c 'read a; echo $a'); echo \"<$x>\"\n", "one\n", W("<one>"))
habit("question-into-cat", "$R ask | cat\n", W("name? "), "Ann\n", W("got <Ann>"))
habit("question-into-tee", "$R ask 2>&1 | tee log\n", W("name? "), "Ann\n", W("got <Ann>"), P, "cat log\n")
habit("question-on-the-terminal", "$R ask-tty </dev/null >o 2>e\n", W("name? "), "Ann\n", W("got <Ann>"), P,
      "wc -c o e\n")
habit("question-of-a-piped-script", "cat ask.sh | $R sh\n", W("name? "), "Ann\n", W("got <Ann>"),
      files={"ask.sh": "printf 'name? '\nread a </dev/tty\necho \"got <$a>\"\n"})
habit("question-in-a-pipeline", "seq 3 | $R ask-tty | cat\n", W("name? "), "Ann\n", W("got <Ann>"))
habit("password-on-the-terminal", "$R ssh-keygen -q -t ed25519 -f k </dev/null >o 2>e\n",
      W("empty for no passphrase): "), "secret\n",
      W("again: "), "secret\n", P, "ls\n", needs=["ssh-keygen"], only_waits=True)
habit("password", "$R ssh-keygen -q -t ed25519 -f k\n", W("empty for no passphrase): "), "secret\n", W("again: "),
      "secret\n", P, "ls\n",
      needs=["ssh-keygen"])
habit("ssh-version", *lines("$R ssh -V 2>&1 | grep -c OpenSSH", "$R ssh -G node2 | grep ^hostname"), needs=["ssh"])
habit("typed-ahead", "$R sh -c 'echo hold\"\"ing; sleep .5'\n", W("holding\r\n"), "echo ne''xt\n", P, W("next"),
      only_waits=True)
habit("typed-ahead-to-a-script", "sh ./script\n", W("holding\r\n"), "one\n", W("got <one>"),
      files={"script": "$R sh -c 'echo holding; sleep .5'\nread a\necho \"got <$a>\"\n"})
habit("typed-ahead-two-lines", "sh ./script\n", W("holding\r\n"), "one\ntwo\n", W("got <one> <two>"),
      files={"script": "$R sh -c 'echo holding; sleep .5'\nread a\nread b\necho \"got <$a> <$b>\"\n"})
habit("typed-ahead-for-a-prompt", "$R sh -c 'echo hold\"\"ing; sleep .4; read a; echo \"got <$a>\"'\n",
      W("holding\r\n"), "one\n", W("got <one>"))

# Programs that take the whole terminal, and those that have terminals of their own.

habit("vim", "$R vim -u NONE --noplugin f\n", W("~"), "ihello" + ESC, ":wq\r", P, "cat f\n", W("hello"),
      needs=["vim"], term="xterm",
      only_waits=True, result=["f"])
habit("vim-stop", "$R vim -u NONE --noplugin f\n", W("~"), "ihello" + ESC, Z, P, "fg\r", W("hello"),
      "ox" + ESC + ":wq\r", P, "stty -a | grep -c ' icanon'\n",
      needs=["vim"], term="xterm", only_waits=True, result=["f"])
habit("less", "seq 90 >f; $R less f\n", W("23\r\n"), " ", W("46\r\n"), "/7[7]\n", W("78"), "q", P, "echo $?\n",
      W("0"), needs=["less"],
      term="xterm", only_waits=True)
habit("less-of-a-pipe", "seq 90 | $R less\n", W("23\r\n"), " ", W("46\r\n"), "q", P, needs=["less"], term="xterm",
      only_waits=True)
habit("less-after", "$R seq 90 | less\n", W("23\r\n"), " ", W("46\r\n"), "q", P, needs=["less"], term="xterm",
      only_waits=True)
habit("less-stop-interrupt", "seq 90 >f; $R less f\n", W("23\r\n"), W("\x1b[K"), Z, P, "fg\r", W("23\r\n"),
      W(":\x1b[K"), C, W("\a"),
      W(":\x1b[K"), "q", P, needs=["less"], term="xterm", only_waits=True)
TMUX = "set -g assume-paste-time 0\nset -g status off\n"  # else keys that come fast are no commands of tmux's
habit("tmux", "$R tmux -L s -f conf new ask\n", W("name? "), "Ann\r", W("got <Ann>"), W("exited"), P, needs=["tmux"],
      term="xterm",
      only_waits=True, leaves=True, files={"conf": TMUX})
habit("tmux-detach-attach", "$R tmux -L s -f conf new ask2\n", W("name? "), "Ann\r", W("more? "), "\x02d",
      W("detached"), P,
      "tmux -L s attach\n", W("more? "), "Bob\r", W("exited"), P, needs=["tmux"], term="xterm", only_waits=True,
      leaves=True,
      files={"conf": TMUX})
habit("script", "$R script -qec ask /dev/null\n", W("name? "), "Ann\n", W("got <Ann>"), P, "script -qec '$R ask' f\n",
      W("name? "), "Bob\n",
      W("got <Bob>"), needs=["script"])
habit("script-interrupt", "$R script -qec hold /dev/null\n", W("holding\r\n"), C, P, "echo $?\n", needs=["script"])
habit("gdb", "$R gdb -nx -q --args dash -c 'read a; echo got $a; exit 5'\n", W("(gdb) "), "print 6*7\n", W("= 42"),
      W("(gdb) "), "run\n",
      W("dash"), "Ann\n", W("got Ann"), W("exited with code 05"), W("(gdb) "), "quit\n", P, needs=["gdb"],
      only_waits=True)
habit("gdb-interrupt", "$R gdb -nx -q --args dash -c 'echo hold\"\"ing; exec sleep 20'\n", W("(gdb) "), "run\n",
      W("holding\r\n"), C,
      W("SIGINT"), W("(gdb) "), "kill\n", W("y or n"), "y\n", W("(gdb) "), "quit\n", P, needs=["gdb"],
      only_waits=True)
habit("fzf", "seq 12 | $R fzf\n", W("12/12"), "11", W("1/12"), "\r", W("11"), P, "echo \"= $?\"\n", W("= 0"),
      needs=["fzf"], term="xterm",
      only_waits=True)
habit("watch", "$R watch -t -n 1 echo se\"\"en\n", W("seen"), C, P, needs=["watch"], term="xterm", only_waits=True)
habit("top", "$R top -d 1\n", W("load average"), "q", P, needs=["top"], term="xterm", only_waits=True)
habit("python-prompt", "$R python3 -q\n", W(">>> "), "6 * 7\n", W("42"), W(">>> "), C, W("KeyboardInterrupt"),
      W(">>> "), D, P, "stty -a\n",
      needs=["python3"])
habit("bash-inside", "$R inner bash --norc --noprofile\n", W("in: "), "ask\n", W("name? "), Z, W("Stopped"),
      W("in: "), "jobs\n",
      W("in: "), "fg\n", W("ask"), "A\n", W("got <A>"), W("in: "), "hold\n", W("holding\r\n"), C, W("in: "),
      "echo $?\n", W("130"), W("in: "),
      "hold >f & until-written f; kill %1; wait\n", W("in: "), "exit 7\n", P, "echo $?\n", W("7"), only_waits=True)
habit("dash-inside", "$R inner dash -i\n", W("in: "), "ask\n", W("name? "), Z, W("in: "), "fg\n", W("ask"), "A\n",
      W("got <A>"),
      W("in: "), "hold\n", W("holding\r\n"), C, W("in: "), "exit 7\n", P, "echo $?\n")
habit("zsh-inside", "$R inner zsh -f\n", W("in: "), "ask\n", W("name? "), Z, W("in: "), "fg\n", W("ask"), "A\n",
      W("got <A>"), W("in: "),
      "hold\n", W("holding\r\n"), C, W("in: "), "exit 7\n", P, "echo \"= $?\"\n", W("= 7"), needs=["zsh"],
      only_waits=True)
habit("fish-inside", "$R fish --no-config --private -C 'function fish_prompt; echo -n i\"\"n:\" \"; end'\n",
      W("in: "), "ask\n",
      W("name? "), Z, W("in: "), "fg\n", W("ask"), "A\n", W("got <A>"), W("in: "), "hold\n", W("holding\r\n"), C,
      W("in: "), "exit 7\n",
      P, "echo \"= $?\"\n", W("= 7"), needs=["fish"], only_waits=True)
habit("make-jobs", *lines("make -sj4 | sort", "$R make -sj4 | sort", "$R make -sj4 bad; echo $?"), needs=["make"],
      files={"Makefile": "all: a b c d\n\t+@$$R $(MAKE) -s -f Makefile e\na b c d e:\n\t@$$R echo $@\nbad:\n\t@exit 3\n"})
habit("make-jobs-outside", *lines("make -sj4 | sort"), needs=["make"],
      files={"Makefile": "all: a b c d\n\t+@$$R $(MAKE) -s -f Makefile e\na b c d:\n\t@$$R echo $@\ne:\n\t@echo $@\n"})
habit("make-jobs-inside", *lines("$R make -sj4 | sort", "$R make -sj4 bad 2>&1; echo $?"), needs=["make"],
      files={"Makefile": "all: a b c d\na b c d:\n\t@echo $@\nbad:\n\t@exit 3\n"})
habit("inside-another", "$R $R ask\n", W("name? "), "Ann\n", W("got <Ann>"), P, "$R $R hold\n", W("holding\r\n"), C,
      P, "echo $?\n", P,
      "$R sh -c '$R ask; echo after'\n", W("name? "), Z, P, "fg\n", W("sh -c"), "A\n", W("got <A>"), W("after"))

# Where the shell ends with the command, and the other shells.

habit("exec", "exec $R sh -c 'echo in\"\"side; exit 5'\n", W("inside"), ends=True)
habit("bare", W("name? "), "Ann\n", W("got <Ann>"), shell="exec $R ask")
habit("bare-status", W("over"), shell="exec $R sh -c 'echo over; exit 5'")
habit("bare-killed", W("over"), shell="exec $R sh -c 'echo over; kill -9 $$'")
habit("bare-interrupt", W("holding\r\n"), C, shell="exec $R hold")
habit("bare-two", W("name? "), "A\n", W("name? "), "B\n", W("got <B>"), shell="$R ask; $R ask")
habit("set-e", *lines("sh -ec '$R false; echo not seen'; echo $?"))
for shell in ("dash", "zsh"):
    habit("plain-" + shell, *lines("$R sh -c 'exit 7'; echo $?", "x=$($R echo 3); echo $x",
          "seq 5 | $R tac | head -2"),
          shell=shell)
    habit("ask-" + shell, "$R ask\n", W("name? "), "Ann\n", W("got <Ann>"), shell=shell)
habit("plain-fish", "$R sh -c 'exit 7'; echo \"= $status\"\n", W("= 7"), P, "set x ($R echo 3); echo \"= $x\"\n",
      W("= 3"), P,
      "$R ask\n", W("name? "), "Ann\n", W("got <Ann>"), P, "$R ask | cat\n", W("name? "), "Ann\n", W("got <Ann>"),
      shell="fish", only_waits=True)

# The habits that differ today, and why: a number is the item of the list "As if utsrun were not there". `compare`
# fails if one of them does not differ any more: then it has to go from here.
NESTED = "what utsrun starts has no new privileges, and utsrun inside it is refused"
KNOWN_TO_DIFFER = {
    "direct": {
        "kill-9": "in the manual: the command goes on, --die-with-parent is for that",
        "make-jobs": NESTED,
        "inside-another": NESTED,
    },
    "service": {
        "typed-ahead-two-lines": "item 9",
    },
}

# Of these, those that differ by chance of the moment: if they do not differ, that says nothing.
SOMETIMES = set()
