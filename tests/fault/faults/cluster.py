"""Three brokers instead of one: each record is on all, and acknowledged when two have it."""

import json
import signal
import subprocess

from confluent_kafka.admin import AdminClient

import system as systems
from faults import Fault

NODES = 3
SESSION_S = 6  # after so long without a word a member of a group is dead


class One(systems.Broker):
    def runs(self):
        return subprocess.run([systems.SOURCE / "tools/kafka", "status", "--dir", self.folder],
                              capture_output=True).returncode == 0


class Cluster(systems.Broker):
    """tools/kafka start --nodes 3: all of it, or one node."""

    def start(self):
        self.address = self.tool("start", *self.options(), "--nodes", NODES)

    def node(self, number):
        return One(self.folder / str(number))

    def send(self, number):
        for node in range(1, NODES + 1):
            self.node(node).send(number)

    def leader(self, topic):
        """The node that leads partition 0, or node 1 when nobody does."""
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        partitions = admin.list_topics(timeout=10).topics[topic].partitions
        return max(1, partitions[0].leader) if partitions else 1

    def controller(self):
        """The active one; only the quorum itself knows."""
        alive = next(node for node in map(self.node, range(1, NODES + 1)) if node.runs())
        said = alive.tool("run", "org.apache.kafka.tools.MetadataQuorumCommand",
                          "--bootstrap-server", self.address, "describe", "--status")
        return int(next(line.split()[1] for line in said.splitlines()
                        if line.startswith("LeaderId:")))


class Node(Fault):
    """Something happens to some of the nodes."""

    by_name, recover_s, heals_first = True, 120, True
    hold_s = (1, SESSION_S + 4)

    def install(self, system):
        if isinstance(system.broker, Cluster):
            return
        plan = json.loads((systems.SOURCE / "deploy/topics.json").read_text())
        plan["replicas"] = NODES
        plan["settings"]["min.insync.replicas"] = NODES - 1
        system.topics = system.folder / "topics.json"
        system.topics.write_text(json.dumps(plan))
        system.broker = Cluster(system.folder / "kafka")

    def strike(self, system, random):
        self.nodes = [system.broker.node(number) for number in self.choose(system, random)]
        for node in self.nodes:
            node.kill()
        return f"kill -9 of {', '.join(node.folder.name for node in self.nodes)}"

    def heal(self, system):
        starts = [subprocess.Popen([systems.SOURCE / "tools/kafka", "start", "--dir", node.folder],
                                   stdout=subprocess.DEVNULL) for node in self.nodes]
        assert all([start.wait() == 0 for start in starts]), "a node does not start"


class Leader(Node):
    name, what = "cluster-leader", "kill -9 of the node that leads a partition"

    def choose(self, system, random):
        return [system.broker.leader(f"{system.tenant}.pin")]


class Controller(Node):
    name, what = "cluster-controller", "kill -9 of the node that is the controller"

    def choose(self, system, random):
        return [system.broker.controller()]


class Two(Node):
    name, what = "cluster-two", "kill -9 of two nodes of three"

    def choose(self, system, random):
        return random.sample(range(1, NODES + 1), NODES - 1)


class Slow(Node):
    name, what = "cluster-slow", "SIGSTOP of one node"

    def strike(self, system, random):
        self.one = system.broker.node(random.randint(1, NODES))
        self.one.send(signal.SIGSTOP)
        return f"SIGSTOP of {self.one.folder.name}"

    def heal(self, system):
        self.one.send(signal.SIGCONT)


SORTS = [Leader(), Controller(), Two(), Slow()]
