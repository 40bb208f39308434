# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, Navarch developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Making, changing and deleting machines by apache-libcloud, whose drivers differ in what they take."""

from __future__ import annotations

import base64
import hashlib
import inspect
import time
import typing as t

from .._api.errors import OptionError
from .libcloud_drivers import Libcloud, check_arguments, gone, telling
from .machine import CloudError, Machine

Options = t.Mapping[str, t.Any]
#: Seconds between two looks: libcloud has no other way to wait.
_LOOK = 2.0
#: What drivers call an option of ours, best first.
_CALLED = {
    "startup_script": ("ex_userdata", "ex_user_data", "ex_customdata", "ex_custom_data", "cloud_init"),
    "labels": ("ex_labels", "ex_metadata"),
    "tags": ("ex_tags",),
    "metadata": ("ex_metadata",),
    "public_ip": ("ex_assign_public_ip",),
    "disk_size_gb": ("ex_disk_size",),
    "ssh_keys": ("ex_authorized_keys",),
    "zone": ("ex_availability_zone",),
}
#: The same where one driver departs from it.
_CALLED_AT = {("azure_arm", "labels"): ("ex_tags",), ("azure_arm", "tags"): ()}

#: What drivers that can have machines rest call their waking, by status; others only start machines.
_WAKE = {"suspended": "ex_resume_node", "paused": "ex_unpause_node"}


class LibcloudNodes:
    """The machines of one cloud, for cloud_node."""

    project: str | None = None

    def __init__(self, options: Options) -> None:
        self._cloud = Libcloud(options["provider"], options)
        self._driver = self._cloud.driver
        self.provider = self._cloud.provider

    def close(self) -> None:
        """Nothing is kept open between requests."""

    def find(self, name: str) -> Machine | None:
        node = self._node(name)
        return self._cloud.machine(node) if node else None

    def check(self, options: Options) -> dict[str, t.Any]:
        """What create_node is called with. Raises what can be told to be wrong before that."""
        for name in ("size", "image"):
            if not options[name]:
                raise OptionError(name, "is needed to make machine %s" % options["name"])
        with telling(self.provider):
            return self._arguments(options)

    def is_size(self, wanted: str, has: str) -> bool:
        """Whether a size, by id or name, is the one that a machine has: its cloud tells either of them."""
        if wanted == has:
            return True
        with telling(self.provider):
            names = [(str(size.id), str(size.name)) for size in self._driver.list_sizes()]
        return any(wanted in both and has in both for both in names)

    def create(self, options: Options, deadline: float) -> None:
        arguments = self.check(options)
        with telling(self.provider):
            for key in options["ssh_keys"]:
                if arguments.get("ex_keyname") == _pair_name(key):
                    self._import_key(key)
            self._driver.create_node(**arguments)

    def change(self, name: str, options: Options, deadline: float) -> None:
        """Sets labels; nothing else of a machine can be changed at every cloud."""
        node = self._node(name)
        has = self._cloud.machine(node).labels
        fresh = {
            str(key): str(value) for key, value in (options["labels"] or {}).items() if value is not None
        }
        stale = {
            key: has[key] for key, value in (options["labels"] or {}).items() if value is None and key in has
        }
        with telling(self.provider):
            if hasattr(self._driver, "ex_create_tags") and self.provider != "azure_arm":
                if fresh:
                    self._driver.ex_create_tags(node, fresh)
                if stale:
                    self._driver.ex_delete_tags(node, stale)
            elif hasattr(self._driver, "ex_set_metadata") and not stale:
                self._driver.ex_set_metadata(node, fresh)
            else:
                raise OptionError(
                    "labels", "libcloud cannot change those of a machine that is there at %s" % self.provider
                )

    def start(self, found: Machine, deadline: float) -> None:
        start = getattr(self._driver, _WAKE.get(found.status, "start_node"), self._driver.start_node)
        with telling(self.provider):
            start(self._node(found.instance_name))

    def delete(self, found: Machine, options: Options, deadline: float) -> None:
        with telling(self.provider):
            self._driver.destroy_node(self._node(found.instance_name))
        while options["wait"] and self._node(found.instance_name):
            if time.monotonic() >= deadline:
                raise CloudError("machine %s: still there when the time was up" % found.instance_name)
            time.sleep(_LOOK)

    def host_keys(self, name: str) -> list[str]:
        raise OptionError(
            "host_keys", "provider %s does not tell those of machine %s" % (self.provider, name)
        )

    def wanted_metadata(self, options: Options) -> dict[str, t.Any]:
        return dict(options["metadata"] or {})

    def _node(self, name: str) -> t.Any:
        with telling(self.provider):
            found = [node for node in self._driver.list_nodes() if node.name == name and not gone(node)]
        if len(found) > 1:
            raise CloudError("name: %d machines are called %s at %s" % (len(found), name, self.provider))
        return found[0] if found else None

    def _arguments(self, options: Options) -> dict[str, t.Any]:
        """What the driver's create_node is called with."""
        driver, taken = self._driver, inspect.signature(self._driver.create_node).parameters
        given: dict[str, t.Any] = {
            "name": options["name"],
            "size": _pick("size", options["size"], driver.list_sizes()),
            "image": self._image(str(options["image"])),
        }
        values = {
            name: options[name]
            for name in ("labels", "tags", "metadata", "startup_script", "public_ip", "disk_size_gb")
        }
        if options["zone"]:
            if "location" in taken:
                given["location"] = _pick("zone", options["zone"], driver.list_locations())
            else:
                values["zone"] = options["zone"]
        values["ssh_keys"] = self._keys(options["ssh_keys"], taken, given)
        if options["subnetwork"]:
            if "ex_subnet" not in taken or self.provider == "azure_arm":
                raise OptionError("subnetwork", "libcloud takes none at %s: use definition" % self.provider)
            given["ex_subnet"] = _pick("subnetwork", options["subnetwork"], driver.ex_list_subnets())
        for name in ("network", "ip_forward"):
            if options[name]:
                raise OptionError(name, "is for provider gce; at %s use definition" % self.provider)
        for option, value in values.items():
            if value in (None, [], {}):
                continue
            names = _CALLED_AT.get((self.provider, option), _CALLED[option])
            name = next((one for one in names if one in taken and one not in given), None)
            if name is None:
                raise OptionError(option, "libcloud takes none at %s when a machine is made" % self.provider)
            given[name] = value
        check_arguments(driver.create_node, options["definition"], "definition", self.provider)
        return {**given, **options["definition"]}

    def _keys(self, keys: list[str], taken: t.Mapping[str, t.Any], given: dict[str, t.Any]) -> list[str]:
        """The keys that go by a driver's own argument. Most drivers take one, as ``auth``."""
        from libcloud.compute.base import NodeAuthSSHKey

        if not keys or "ssh_key" not in self._driver.features.get("create_node", []):
            return keys
        if len(keys) > 1:
            raise OptionError("ssh_keys", "%s takes only one" % self.provider)
        try:
            base64.b64decode(keys[0].split()[1], validate=True)
        except (IndexError, ValueError):
            raise OptionError("ssh_keys", "is not like a line of authorized_keys: TYPE KEY COMMENT") from None
        if "ex_keyname" in taken:
            given["ex_keyname"] = _pair_name(keys[0])
        else:
            given["auth"] = NodeAuthSSHKey(keys[0])
        return []

    def _import_key(self, key: str) -> None:
        """Lets the cloud have this key. libcloud's own way takes it for unknown when it is no RSA key, and
        the second machine is refused."""
        name = _pair_name(key)

        def there() -> bool:
            return any(pair.name == name for pair in self._driver.list_key_pairs())

        if not there():
            try:
                self._driver.import_key_pair_from_string(name, key)
            except Exception:  # of the driver's own kind, also when another task was first
                if not there():
                    raise

    def _image(self, image: str) -> t.Any:
        try:
            return self._driver.get_image(image)
        except NotImplementedError:
            return _pick("image", image, self._driver.list_images())
        except Exception as problem:
            said = str(getattr(problem, "value", problem))
            raise OptionError("image", "%s has no %s: %s" % (self.provider, image, said[:300])) from None


def _pair_name(key: str) -> str:
    """What a key of authorized_keys is called at the cloud."""
    return "navarch-%s" % hashlib.sha256("".join(key.split()[1:2]).encode()).hexdigest()[:16]


def _pick(option: str, wanted: t.Any, things: t.Iterable[t.Any]) -> t.Any:
    """The thing of this id, else the one of this name."""
    things = list(things)
    for kind in ("id", "name"):
        for thing in things:
            if str(getattr(thing, kind, "")) == str(wanted):
                return thing
    known = [str(getattr(thing, "name", "") or thing.id) for thing in things]
    raise OptionError(
        option, "there is no %s; there are %s" % (wanted, ", ".join(sorted(known)[:20]) or "none")
    )
