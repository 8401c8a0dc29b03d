"""What the tests of real programs run in: a user, an /etc/hosts and a service of their own."""
import os
import pwd
import pty
import shutil
import signal
import subprocess
import tempfile
import time

UID = 54340
NAME = "utsb-clients"
DEFAULT_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"


def wait_until(is_true, seconds):
    end = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Lab:
    """Mounts are made in the mount namespace of this process, which must be its own."""

    def __init__(self, mode, programs, broker, run_folder, policy_folder):
        self.mode, self.programs, self.broker, self.run_folder = mode, programs, broker, run_folder
        self.folder = tempfile.mkdtemp(prefix="utsbroker-clients-")
        self.home = self.folder + "/home"
        self.service = None
        os.chmod(self.folder, 0o755)
        for name in ("passwd", "group", "hosts"):
            path = "%s/%s" % (self.folder, name)
            shutil.copy("/etc/" + name, path)
            os.chmod(path, 0o644)
            subprocess.run(["mount", "--bind", path, "/etc/" + name], check=True)
        # Other tests write policies meanwhile; here only what is installed for everybody applies.
        settings = os.path.dirname(policy_folder)
        os.makedirs(settings, 0o755, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", settings], check=True)
        with open("/etc/passwd", "a") as file:
            file.write("%s:x:%d:%d::%s:/bin/bash\n" % (NAME, UID, UID, self.home))
        with open("/etc/group", "a") as file:
            file.write("%s:x:%d:\n" % (NAME, UID))
        with open("/etc/hosts") as file:
            self.hosts = "".join(line for line in file if ".test" not in line)

    def names_resolve(self, they_do):
        """Has the names n1.test to n100.test in /etc/hosts, or not."""
        with open("/etc/hosts", "w") as file:
            file.write(self.hosts)
            for i in range(1, 101 if they_do else 1):
                file.write("127.0.1.%d n%d.test n%d\n" % (i + 1, i, i))

    def become_user(self):
        os.setgroups([])
        os.setgid(UID)
        os.setuid(UID)

    def environment(self):
        return {"PATH": self.programs + ":" + DEFAULT_PATH, "HOME": self.home, "SHELL": "/bin/bash",
                "USER": NAME, "LOGNAME": NAME, "LC_ALL": "C.UTF-8"}

    def service_start(self):
        """Starts the service as systemd does by its unit, and prevents direct mode."""
        folder = "%s/clients" % self.run_folder
        self.link = "%s/%d.sock" % (self.run_folder, UID)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder, 0o755)
        os.chown(folder, UID, UID)
        if os.path.lexists(self.link):
            os.unlink(self.link)
        os.symlink("clients/socket", self.link)
        for options in (["--bind", self.broker], ["-o", "remount,bind,nosuid"]):
            subprocess.run(["mount", *options, self.broker], check=True)
        self.service = subprocess.Popen(
            ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups",
             "--inh-caps=-all,+sys_admin", "--bounding-set=-all,+sys_admin", "--ambient-caps=-all,+sys_admin",
             "--no-new-privs", self.broker, "--listen", folder + "/socket", "--idle-exit", "0"],
            stdin=subprocess.DEVNULL)
        if not wait_until(lambda: os.path.exists(folder + "/socket"), 20):
            raise SystemExit("FAILED: the service does not start")

    def close(self):
        """Returns what was wrong with the service, or None."""
        problem = None
        if self.service is not None:
            self.service.terminate()
            if self.service.wait() != 0:
                problem = "the service ended with %d" % self.service.returncode
            os.unlink(self.link)
            shutil.rmtree("%s/clients" % self.run_folder, ignore_errors=True)
        for name in ("passwd", "group", "hosts"):
            subprocess.run(["umount", "/etc/" + name], check=True)
        shutil.rmtree(self.folder)
        return problem

    def home_renew(self):
        shutil.rmtree(self.home, ignore_errors=True)
        os.mkdir(self.home, 0o700)
        os.chown(self.home, UID, UID)

    def processes(self):
        """The user's processes, without the service's own: a list of (pid, command line)."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.stat("/proc/" + pid).st_uid != UID and UID not in uids_of(pid):
                    continue
                if os.readlink("/proc/%s/exe" % pid) == self.broker:
                    continue
                with open("/proc/%s/cmdline" % pid) as file:
                    found.append((int(pid), file.read().replace("\0", " ").strip()))
            except OSError:
                continue
        return found

    def run(self, script, seconds=90):
        """Runs a script as somebody types it. Returns its exit status (or a text), output and messages."""
        paths = self.folder + "/output", self.folder + "/errors"
        with open(paths[0], "w") as output, open(paths[1], "w") as errors:
            process = subprocess.Popen(["bash", "-e", "-o", "pipefail", "-c", script], stdin=subprocess.DEVNULL,
                                       stdout=output, stderr=errors, cwd=self.home, env=self.environment(),
                                       preexec_fn=self.become_user, start_new_session=True)
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                status = "not within %d s" % seconds
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return (status, *(open(path, errors="replace").read() for path in paths))

    def left(self, seconds=10):
        """What does not end by itself within some seconds, and ends now."""
        wait_until(lambda: not self.processes(), seconds)
        left = self.processes()
        while self.processes():
            for pid, _ in self.processes():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)
        return [command for _, command in left]

    def start(self, argv, with_terminal):
        """Starts a program, in the foreground of a terminal of its own or without one. A shell leads the
        session, as it does for people, so that the end of the program hangs nothing up."""
        output = open("%s/output" % self.folder, "w")
        if not with_terminal:
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.home,
                                    env=self.environment(), preexec_fn=self.become_user,
                                    start_new_session=True), None
        master, slave = pty.openpty()
        os.fchown(slave, UID, UID)

        def with_slave():
            self.become_user()
            import fcntl
            import termios
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        shell = ["sh", "-c", 'trap : INT; "$@"; while ! read line; do :; done', "sh"]
        process = subprocess.Popen(shell + argv, stdin=slave, stdout=output, stderr=output, cwd=self.home,
                                   env=self.environment(), preexec_fn=with_slave, start_new_session=True)
        os.close(slave)
        return process, master


def uids_of(pid):
    with open("/proc/%s/status" % pid) as file:
        for line in file:
            if line.startswith("Uid:"):
                return [int(word) for word in line.split()[1:]]
    return []
