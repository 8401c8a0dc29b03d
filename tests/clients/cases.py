"""What tests/clients/check runs besides the text of packaging/examples/cluster.md."""
from dataclasses import dataclass, field

BOTH = ("direct", "service")
HOW = ("Ctrl-C", "TERM", "KILL")


@dataclass
class Recipe:
    """A section of the document."""
    needs: list
    needs_names: bool = False
    modes: tuple = BOTH


# By heading.
RECIPES = {
    "OpenMPI": Recipe(["mpirun.openmpi"]),
    "MPICH": Recipe(["mpiexec.hydra"]),
    "pdsh": Recipe(["pdsh"]),
    "clush": Recipe(["clush"]),
    "GNU parallel": Recipe(["parallel"]),
    "Ansible": Recipe(["ansible"]),
    "rsync": Recipe(["rsync"]),
    "git": Recipe(["git"]),
    "Erlang": Recipe(["erl"], needs_names=True),
    "Slurm": Recipe(["slurmctld", "slurmd", "srun", "munged"]),
    "Names that resolve": Recipe(["getent"]),
    "From node to node": Recipe(["mpirun.openmpi", "pdsh"], modes=("service",)),
}


@dataclass
class Case:
    """A script, and what it must print."""
    name: str
    script: str
    output: str
    needs: list
    needs_names: bool = False
    modes: tuple = BOTH


def hosts(n):
    return ",".join("n%d.test" % (i + 1) for i in range(n))


OPENMPI = "mpirun.openmpi --mca plm_rsh_agent utsrsh "
# Ranks wait for each other with all of the processor, unless they are told to yield.
YIELD = "--mca mpi_yield_when_idle 1 "
NO_TREE = "--mca plm_rsh_no_tree_spawn 1 "
MPICH = "mpiexec.hydra -launcher ssh -launcher-exec utsrsh "

MORE = [
    Case("OpenMPI: ranks are on different nodes",
         OPENMPI + YIELD + "-H n1.test:2,n2.test:1,n3.test:1 ../nodes-openmpi",
         "4 ranks on 3 nodes with 3 names\n", ["mpirun.openmpi", "mpicc.openmpi"]),
    Case("OpenMPI: the same, and names resolve",
         OPENMPI + YIELD + "-H n1.test:2,n2.test:1,n3.test:1 ../nodes-openmpi",
         "4 ranks on 3 nodes with 3 names\n", ["mpirun.openmpi", "mpicc.openmpi"], needs_names=True),
    # Some hosts are started from others. No MPI ranks: 64 that wait for each other overload a small machine.
    Case("OpenMPI: 64 hosts", OPENMPI + "-H " + hosts(64) + " uname -n | sort -u | wc -l",
         "64\n", ["mpirun.openmpi"], needs_names=True, modes=("service",)),
    Case("OpenMPI: 64 hosts, without tree spawn",
         OPENMPI + NO_TREE + "-H " + hosts(64) + " uname -n | sort -u | wc -l",
         "64\n", ["mpirun.openmpi"], needs_names=True, modes=("direct",)),
    Case("MPICH: ranks are on different nodes",
         MPICH + "-hosts n1.test,n2.test,n3.test -n 6 ../nodes-mpich",
         "6 ranks on 3 nodes with 3 names\n", ["mpiexec.hydra", "mpicc.mpich"]),
    Case("MPICH: 64 hosts", MPICH + "-hosts " + hosts(64) + " -n 64 ../nodes-mpich",
         "64 ranks on 64 nodes with 64 names\n", ["mpiexec.hydra", "mpicc.mpich"]),
    # Its launchers have more than 200 open descriptors then.
    Case("MPICH: 100 hosts", MPICH + "-hosts " + hosts(100) + " -n 100 uname -n | sort -u | wc -l",
         "100\n", ["mpiexec.hydra"]),
    Case("pdsh: 100 hosts", "pdsh -f 100 -R exec -w 'n[1-100].test' utsrun -n %h -- uname -n | sort -u | wc -l",
         "100\n", ["pdsh"]),
    Case("pdsh: 100 hosts by utsrsh", "pdsh -f 100 -R exec -w 'n[1-100].test' utsrsh %h uname -n | sort -u | wc -l",
         "100\n", ["pdsh"]),
    Case("pdsh: it calls utsrsh as ssh",
         "mkdir bin\nln -s \"$(command -v utsrsh)\" bin/ssh\nPATH=$PWD/bin:$PATH pdsh -R ssh -w n1.test,n2.test uname -n | sort",
         "n1: n1.test\nn2: n2.test\n", ["pdsh"]),
    Case("in a node: OpenMPI",
         "utsrun -n n1.test -- " + OPENMPI + YIELD + "-H n1.test,n2.test,n3.test ../nodes-openmpi",
         "3 ranks on 3 nodes with 3 names\n", ["mpirun.openmpi", "mpicc.openmpi"], modes=("service",)),
    Case("in a node: MPICH", "utsrun -n n1.test -- " + MPICH + "-hosts n1.test,n2.test,n3.test -n 3 ../nodes-mpich",
         "3 ranks on 3 nodes with 3 names\n", ["mpiexec.hydra", "mpicc.mpich"], needs_names=True,
         modes=("service",)),
    Case("in a node: pdsh", "utsrsh n1 pdsh -R exec -w n2.test,n3.test utsrsh %h uname -n | sort",
         "n2: n2.test\nn3: n3.test\n", ["pdsh"], modes=("service",)),
]


@dataclass
class Ending:
    """A launcher that is ended while its commands run, each of which is "sleep 987". After the signals in
    goes_on_after utsrun and utsrsh are left, as ssh would be: the test ends them, and then nothing may be left."""
    name: str
    command: str
    needs: list
    commands: int = 2
    goes_on_after: tuple = ()
    how: tuple = HOW
    needs_two_keys: bool = False


HOSTS = "n1.test,n2.test"
ENDINGS = [
    Ending("mpirun of OpenMPI", OPENMPI + "-H " + HOSTS + " sleep 987", ["mpirun.openmpi"]),
    Ending("mpiexec of MPICH", MPICH + "-hosts " + HOSTS + " sleep 987", ["mpiexec.hydra"]),
    Ending("pdsh with utsrun --die-with-parent",
           "pdsh -R exec -w " + HOSTS + " utsrun --die-with-parent -n %h -- sleep 987", ["pdsh"],
           needs_two_keys=True),
    Ending("pdsh with utsrsh", "pdsh -R exec -w " + HOSTS + " utsrsh %h sleep 987", ["pdsh"], needs_two_keys=True),
    Ending("clush with utsrsh", "clush -O ssh_path=utsrsh -w " + HOSTS + " sleep 987", ["clush"]),
    Ending("parallel with utsrun", "parallel utsrun -n {} -- sleep 987 ::: n1.test n2.test", ["parallel"],
           goes_on_after=("KILL",)),
    # parallel has a shell run the words, and the shell would be the parent.
    Ending("parallel with exec utsrun --die-with-parent",
           "parallel exec utsrun --die-with-parent -n {} -- sleep 987 ::: n1.test n2.test", ["parallel"]),
    Ending("parallel with utsrsh", "parallel --ssh utsrsh -S n1.test,n2.test sleep ::: 987 987", ["parallel"],
           goes_on_after=("KILL",)),
    Ending("ansible", "ansible -i " + HOSTS + " all -e ansible_ssh_executable=utsrsh"
           " -e ansible_ssh_transfer_method=piped -e ansible_python_interpreter=/usr/bin/python3"
           " -m command -a 'sleep 987'", ["ansible"], how=("Ctrl-C",)),  # else its workers go on
    Ending("rsync", "rsync -a -e utsrsh --rsync-path='sleep 987 #' /dev/null n1.test:x", ["rsync"], commands=1,
           goes_on_after=("KILL",)),
]
