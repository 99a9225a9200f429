#!/usr/bin/env python3
"""Builds the workloads of docs/benchmarks.md, all of them on a Python base, by gbuild's image and by kaniko's, in turns, and prints a table of medians.

usage: bench-kaniko.py NAME DIR REGISTRY INDEX small|full ROUNDS [WORKLOAD...]

NAME:gbuild and NAME:kaniko are images, and NAME is a volume that may be used. REGISTRY has base/python:1, INDEX is the address of a package
index. DIR has requirements.txt, and gets the contexts. scripts/bench-kaniko.sh starts it.
"""
import itertools, pathlib, statistics, subprocess, sys, time

SIZES = {"small": (10, 3000), "full": (40, 30000)}  # steps of W5, files of W6

# What a workload builds, and whether it finds something stored. What is changed before each build is in CHANGES.
WORKLOADS = {
    "W0: a tiny image, nothing stored": ("tiny", False),
    "W1: the image of W3, nothing changed": ("learning", True),
    "W2: the image of W3, one source file changed": ("learning", True),
    "W3: pull a Python base, pip install, push; nothing stored": ("learning", False),
    "W4: the image of W3, one requirement changed": ("learning", True),
    "W5: trivial RUN steps": ("steps", False),
    "W6: COPY of many files, nothing stored": ("files", False),
    "W6: COPY of many files, again": ("files", True),
}
CHANGES = {  # workload -> the file, and its text in a turn, made of the one that it had
    "W2": ("learning/src/train.py", lambda text, turn: f"print('training {turn}')\n"),
    "W4": ("learning/requirements.txt", lambda text, turn: text.replace("bumped==1.0", f"bumped==1.1 # {turn}") if turn else text),
}


def write_contexts(directory, registry, size):
    base = f"FROM {registry}/base/python:1\n"
    steps, files = SIZES[size]
    texts = {
        "tiny/Dockerfile": base + 'WORKDIR /app\nCOPY . .\nRUN sh main.sh && echo built >/built\nCMD ["sh", "main.sh"]\n',
        "tiny/main.sh": "echo hello\n",
        "steps/Dockerfile": base + "".join(f"RUN echo {n} >/step{n}\n" for n in range(steps)),
        "files/Dockerfile": base + "COPY files /data/\n",
        "learning/Dockerfile": base + """WORKDIR /app
COPY requirements.txt .
ARG INDEX
RUN pip install --no-cache-dir --disable-pip-version-check --quiet --root-user-action=ignore --no-deps --index-url $INDEX --trusted-host 127.0.0.1 -r requirements.txt
COPY src src
CMD ["python3", "src/train.py"]
""",
        "learning/requirements.txt": (directory / "requirements.txt").read_text(),
        "learning/src/train.py": "print('training')\n",
    }
    for n in range(files):
        texts[f"files/files/{n // 100}/file{n}.py"] = f"part = {n}\n" * 600
    for name, text in texts.items():
        path = directory / "contexts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def build(name, way, directory, context, index, arguments):
    """Builds once in a new container; gives seconds, with its start and its end."""
    command = ["docker", "run", "--rm", "--network", "host", "-v", f"{directory}/contexts/{context}:/workspace:ro"]
    if way == "gbuild with a volume":
        command += ["-v", f"{name}:/var/lib/gbuild"]
    command += [f"{name}:kaniko"] if way == "kaniko" else [f"{name}:gbuild", "kaniko"]
    command += ["--context", "/workspace", "--build-arg", f"INDEX=http://{index}/simple/", *arguments]
    began = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    took = time.monotonic() - began
    if done.returncode:
        sys.exit(f"{' '.join(command)} ends with {done.returncode}:\n{done.stdout.decode(errors='replace')[-3000:]}")
    return took


def main():
    name, directory, registry, index, size, rounds = sys.argv[1], pathlib.Path(sys.argv[2]), *sys.argv[3:6], int(sys.argv[6])
    chosen = sys.argv[7:]
    write_contexts(directory, registry, size)
    count, originals = itertools.count(), {}
    print("## In a default container, beside kaniko\n\nEach build in a new container with Docker's default rights, from its start to its removal, in turns; medians of "
          f"{rounds}. Size: {size}.\n")
    print("| workload | builder | wall | min – max | of kaniko |\n|---|---|--:|--:|--:|")
    for workload, (context, stored) in WORKLOADS.items():
        if chosen and workload[:2] not in chosen:
            continue
        ways = ["kaniko", "gbuild"] + (["gbuild with a volume"] if stored else [])
        taken = {way: [] for way in ways}
        for turn in range(rounds + stored):    # the first one stores
            if workload[:2] in CHANGES:
                file, change = CHANGES[workload[:2]]
                path = directory / "contexts" / file
                original = originals.setdefault(path, path.read_text())
                path.write_text(change(original, turn))
            for way in ways:
                repository = f"{registry}/{workload[:2].lower()}/{way.replace(' ', '-')}"
                arguments = ["--destination", f"{repository}/{next(count)}:1"]    # no layer is there before
                if stored:
                    arguments += ["--cache=true", "--cache-copy-layers", f"--cache-repo={repository}/cache"]
                took = build(name, way, directory, context, index, arguments)
                if turn or not stored:
                    taken[way].append(took)
        best = statistics.median(taken["kaniko"])
        for way in ways:
            wall = statistics.median(taken[way])
            print(f"| {workload} | {way} | {wall:.2f} s | {min(taken[way]):.2f} s – {max(taken[way]):.2f} s | {wall / best:.2f} |", flush=True)


if __name__ == "__main__":
    main()
