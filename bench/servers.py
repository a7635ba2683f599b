"""The servers of the benchmark, each started with its full configuration from bench/peers."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from harness import CACHE, HERE, free_port, wait_for_port


def fill(source, target, **values):
    text = source.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name.upper()}@", str(value))
    target.write_text(text)


class Server:
    """A folder of its own on the disk that is measured, and a process."""

    queues = True
    # What the server is started under: nothing, or strace to count its syncs.
    under = ()

    def spawn(self, command, **options):
        self.process = subprocess.Popen(
            [*self.under, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
        )

    def __init__(self, root):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=root))
        self.port = free_port()

    @property
    def pid(self):
        return self.process.pid

    def ready(self):
        wait_for_port(self.port)
        return self

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.root, ignore_errors=True)


class Alone(Server):
    """No server: smtp-source speaks to the sink itself."""

    name, queues = "harness alone", False

    def start(self, sink):
        self.process, self.port = sink.process, sink.port
        return self

    def stop(self):
        shutil.rmtree(self.root, ignore_errors=True)


class Postfix(Server):
    name = "postfix"

    def start(self, sink):
        self.root.chmod(0o755)
        for folder in ("queue", "data", "config"):
            (self.root / folder).mkdir()
        shutil.chown(self.root / "data", "postfix")
        values = {"root": self.root, "sink": sink.port, "port": self.port}
        for name in ("main.cf", "master.cf"):
            fill(HERE / "peers/postfix" / name, self.root / "config" / name, **values)
        self.config = str(self.root / "config")
        env = dict(os.environ, MAIL_CONFIG=self.config)
        subprocess.run(
            ["postfix", "-c", self.config, "check"], check=True, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.spawn(["/usr/lib/postfix/sbin/master", "-c", self.config, "-d"], env=env)
        return self.ready()


class Haraka(Server):
    name = "haraka"

    @staticmethod
    def install():
        CACHE.mkdir(parents=True, exist_ok=True)
        if not (CACHE / "node_modules/Haraka").exists():
            (CACHE / "package.json").write_text('{"private": true}\n')
            subprocess.run(["npm", "install", "--silent", "Haraka@3.3.4"], cwd=CACHE, check=True)

    def start(self, sink):
        home = self.root / "haraka"
        shutil.copytree(HERE / "peers/haraka", home)
        (home / "queue").mkdir()
        for name in ("smtp.ini", "bench_relay.json"):
            fill(home / "config" / name, home / "config" / name, port=self.port, sink=sink.port)
        self.spawn(["node", str(CACHE / "node_modules/Haraka/bin/haraka"), "-c", str(home)])
        return self.ready()


class Postrider(Server):
    """Ours, as released: the trusted listener takes mail without AUTH, a route sends all of it to the sink."""

    name, signed = "postrider", False

    @staticmethod
    def binary():
        folder = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
        built = sorted(folder.glob("*/release/postrider")) + sorted(folder.glob("release/postrider"))
        if not built:
            raise SystemExit("build it first: cargo build --release")
        return str(built[0])

    @staticmethod
    def build():
        subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=HERE.parent, check=True)

    def start(self, sink):
        return self.start_to(sink.port)

    def start_to(self, sink_port):
        config = self.root / "postrider.toml"
        fill(HERE / "peers/postrider/postrider.toml", config, root=self.root, port=self.port)
        self.command = [self.binary(), "serve", "--config", str(config)]
        self.spawn(self.command)
        # The listener takes nobody before its credential exists.
        while self.say("status").returncode != 0:
            time.sleep(0.05)
        # An address has no keys of its own: mail of one whose domain is unknown leaves unsigned.
        names = ["source.example"] if self.signed else ["load@source.example", "probe@source.example"]
        domains = [["domain", "add", name] for name in names]
        for arguments in (*domains, ["credential", "create", "bench"], ["route", "add", "*", f"127.0.0.1:{sink_port}"]):
            self.say(*arguments).check_returncode()
        return self.ready()

    def say(self, *arguments):
        env = dict(os.environ, POSTRIDER_DATA_DIR=str(self.root / "data"))
        return subprocess.run(
            [self.binary(), *arguments], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def spawn_again(self):
        self.spawn(self.command)
        self.ready()


class PostriderSigned(Postrider):
    """The same, with DKIM: one RSA-2048 and one Ed25519 signature a message."""

    name, signed = "postrider signed", True
