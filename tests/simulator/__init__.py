"""The Hub in memory, once as a port and once over sockets, with faults."""

from tests.simulator.content import Made, Zeros
from tests.simulator.faults import Armed, Faults
from tests.simulator.hub import HubSimulator
from tests.simulator.server import Served, served

__all__ = ["Armed", "Faults", "HubSimulator", "Made", "Served", "Zeros", "served"]
