#!/usr/bin/env python3
"""Measures what it costs to answer system calls where only one id is mapped: the same builds in rootless and in rootless-single, in turns.

usage: bench-modes.py GBUILD DIR REGISTRY INDEX ROUNDS [WORKLOAD...]

DIR keeps the states of both; REGISTRY has base/python:1, INDEX is the address of a package index. scripts/bench-modes.sh starts it. GBUILD may be
several binaries, separated by commas: each is measured in rootless-single, and the first in rootless, which all are divided by.
"""
import os, pathlib, resource, statistics, subprocess, sys, time

# A RUN each. The first two are done many times by one build.
WORKLOADS = {
    "start": ["true"] * 20,
    "steps": [f"echo {n} > /step-{n}" for n in range(20)],
    "apt": ["apt-get update -q >/dev/null && apt-get install -y -q --no-install-recommends jq make openssh-client git sudo >/dev/null && rm -rf /var/lib/apt/lists/*"],
    "pip": ["pip install -q --no-deps --root-user-action ignore -r /requirements.txt"],
    "mixed": ["""cd / && python3 -m compileall -q -f /usr/lib/python3/dist-packages/pip
for i in 1 2 3; do find / -xdev -size +100M >/dev/null; done
tar -cf /dev/null /usr/lib/python3 2>/dev/null
pip install -q --no-deps --root-user-action ignore six pyyaml idna
for i in 1 2 3 4 5; do python3 -c 'import pip._internal.cli.main'; done
cp -a /usr/lib/python3 /srv/copy"""],
}


def dockerfile(registry, runs):
    text = f"FROM {registry}/base/python:1\nARG PIP_INDEX_URL PIP_TRUSTED_HOST\nCOPY requirements.txt /\n"
    return text + "".join(f"RUN <<END\nset -e\n{run}\nEND\n" for run in runs)


def build(gbuild, directory, registry, index, mode, context):
    """Builds once; gives seconds of processor time and of the clock."""
    env = {"PATH": os.environ["PATH"], "HOME": str(directory), "GBUILD_ROOT": f"{directory}/state-{mode}", "GBUILD_CACHE_DIR": f"{directory}/caches-{mode}"}
    argv = [gbuild, "build", "--isolation", mode, "--no-cache", "--network", "host", "--progress", "plain",
            "--build-arg", f"PIP_INDEX_URL=http://{index}/simple/", "--build-arg", "PIP_TRUSTED_HOST=127.0.0.1", str(context)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(argv)} ends with {done.returncode}:\n{done.stdout.decode(errors='replace')[-3000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, took


def main():
    binaries, directory, registry, index = sys.argv[1].split(","), pathlib.Path(sys.argv[2]), *sys.argv[3:5]
    rounds, chosen = int(sys.argv[5]), sys.argv[6:] or list(WORKLOADS)
    ways = [(binaries[0], "rootless")] + [(b, "rootless-single") for b in binaries]
    print("| workload | isolation | processor s | of rootless | clock s | of rootless |\n|---|---|--:|--:|--:|--:|")
    for name in chosen:
        context = directory / name
        context.mkdir(parents=True, exist_ok=True)
        (context / "Dockerfile").write_text(dockerfile(registry, WORKLOADS[name]))
        (context / "requirements.txt").write_text((directory / "requirements.txt").read_text())
        taken = {way: [] for way in ways}
        for turn in range(rounds + 1):
            for way in ways:
                took = build(way[0], directory, registry, index, way[1], context)
                if turn:    # the first one fetches the base
                    taken[way].append(took)
        first = None
        for way in ways:
            cpu, wall = (statistics.median(t[i] for t in taken[way]) for i in (0, 1))
            first = first or (cpu, wall)
            label = way[1] + (f" ({way[0]})" if len(binaries) > 1 else "")
            print(f"| {name} | {label} | {cpu:.2f} | {cpu / first[0]:.2f} | {wall:.2f} | {wall / first[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
