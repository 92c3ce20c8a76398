"""All sorts of faults.  A module of this folder lists its own in SORTS."""

import importlib
import pkgutil


class Fault:
    """One sort.  The same object strikes again and again, so it may remember what heal undoes."""

    name = ""  # as --only and the table have it
    what = ""  # one line for --list
    stages = ("gateway", "validator", "cleaner", "archiver", "query")  # that have to flow afterwards
    hold_s = (0, 0)  # from the strike to the healing, at random between both
    weight = 1  # how often it is chosen, beside the others
    recover_s = 60  # more is a failure
    alone = False  # not at one time with others
    by_name = False  # only when --only says so
    heals_first = False  # before those of other sorts

    def install(self, system):
        """Before the servers start: another broker, say.  Only of sorts that are chosen."""

    def connect(self, system):
        """Before the services start: a proxy between them and a server, say."""

    def strike(self, system, random):
        """Breaks something and says what, for the timeline.  Does not wait for what a fault that
        struck at the same time may hold up."""
        raise NotImplementedError

    def heal(self, system):
        """Undoes what does not undo itself."""

    def remove(self, system):
        """When all processes have ended."""


def sorts():
    """{name: Fault} of all modules here."""
    found = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        for sort in importlib.import_module(f"{__name__}.{module.name}").SORTS:
            assert sort.name not in found, sort.name
            found[sort.name] = sort
    return found
