"""The network between the services and the broker. What the test itself asks goes beside it."""

import system as systems
from faults import Fault
from proxy import Proxy

SESSION_S = 6  # after so long without a word a member of a group is dead

# Clients are sent to the proxy, the broker itself and the test use the third port.
PROPS = """
listeners=PLAINTEXT://127.0.0.1:@PORT@,CONTROLLER://127.0.0.1:@PORT1@,DIRECT://127.0.0.1:@PORT2@
advertised.listeners=PLAINTEXT://127.0.0.1:{port},DIRECT://127.0.0.1:@PORT2@
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,DIRECT:PLAINTEXT
inter.broker.listener.name=DIRECT
"""


class FarBroker(systems.Broker):
    """A broker that clients can only reach through a proxy."""

    def __init__(self, folder, props, line):
        super().__init__(folder, props)
        self.line = line

    def start(self):
        super().start()
        port = int(self.address.rsplit(":", 1)[1])
        self.line.aim(port)
        self.address = f"127.0.0.1:{port + 2}"


class Cut(Fault):
    name, what = "net-broker-cut", "connections to the broker are reset, new ones refused"
    hold_s, heals_first = (1, SESSION_S + 4), True

    def install(self, system):
        if not hasattr(system, "broker_line"):
            system.broker_line = Proxy()
            props = system.folder / "far.properties"
            props.write_text(PROPS.format(port=system.broker_line.port))
            system.broker = FarBroker(system.folder / "kafka", props, system.broker_line)
            system.bootstrap = f"127.0.0.1:{system.broker_line.port}"
        self.line = system.broker_line

    def strike(self, system, random):
        self.line.cut()
        return "the line to the broker is cut"

    def heal(self, system):
        self.line.resume()

    def remove(self, system):
        self.line.close()


class Stall(Cut):
    name, what = "net-broker-stall", "connections to the broker stay, no byte passes"

    def strike(self, system, random):
        self.line.stall()
        return "the line to the broker is silent"


SORTS = [Cut(), Stall()]
