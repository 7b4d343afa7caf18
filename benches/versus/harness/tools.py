"""Which programs a run needs, where they are, how to get those that are missing, and building our own."""
import functools
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(os.path.dirname(HERE))

INSTALL = {
    "cargo": "https://rustup.rs",
    "h2load": "apt install nghttp2-client   (Fedora: nghttp2, Homebrew and Arch: nghttp2)",
    "haproxy": "apt install haproxy",
    "nginx": "apt install nginx-light   (or nginx; it need not run as a service)",
    "pm2": "npm install pm2   (in any folder; then PM2=FOLDER/node_modules/.bin/pm2)",
    "openssl": "apt install openssl",
    "strace": "apt install strace",
    "valgrind": "apt install valgrind",
    "wrk": "apt install wrk",
}


# With which profiles of Cargo our own programs are built, if not as a release.
PROFILES = {"lone-proxy": "count"}


def find(program):
    """The path of a program, or None. Daemons are often outside a user's PATH."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")


def how_to_get(program):
    return INSTALL.get(program, "not packaged by name; see its own documentation")


def require(programs):
    """Ends with advice when any of these is missing."""
    missing = [program for program in programs if not find(program)]
    if missing:
        lines = [f"  {program:10} {how_to_get(program)}" for program in missing]
        sys.exit("These programs are needed and were not found:\n" + "\n".join(lines))


def build_quickly():
    """From now on what is built is built in less time, and is slower. So are the figures, which are for a budget only."""
    PROFILES.update({"loadkit": "dev", "lone-proxy": "guard"})


def portreeve():
    """The path of portreeve's release build: $PORTREEVE, or built now."""
    return os.environ.get("PORTREEVE") or _build("portreeve", ROOT)


def loadkit():
    """The path of loadkit: $LOADKIT, or built now."""
    return os.environ.get("LOADKIT") or _build("loadkit", os.path.join(HERE, "loadkit"))


@functools.cache
def lone_proxy():
    """The path of portreeve's proxy as a program of its own: $LONE_PROXY, or built now, for counting."""
    return os.environ.get("LONE_PROXY") or _build("lone-proxy", os.path.join(HERE, "lone-proxy"))


def _build(program, folder):
    require(["cargo"])
    profile = PROFILES.get(program, "release")
    manifest = os.path.join(folder, "Cargo.toml")
    print(f"building {program} ({profile})", file=sys.stderr, flush=True)
    built = subprocess.run(["cargo", "build", "--profile", profile, "--quiet", "--locked", "--bin", program,
                            "--manifest-path", manifest])
    if built.returncode != 0:
        sys.exit(f"{program} could not be built")
    metadata = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path", manifest]
    target = json.loads(subprocess.run(metadata, stdout=subprocess.PIPE, check=True).stdout)["target_directory"]
    return os.path.join(target, {"dev": "debug"}.get(profile, profile), program)


def commit():
    """The commit that is checked out, with a + when files differ from it; None outside a repository."""
    described = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty=+"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    return described.stdout.strip() or None
