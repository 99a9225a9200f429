#!/usr/bin/env python3
"""Makes wheels without an index to take them from, and serves them.

usage: wheels.py make DIR small|full     Debian's python3-* packages as wheels, and large synthetic ones, in DIR;
                                         requirements.txt beside them pins all
       wheels.py serve DIR ADDR:PORT LOG  a simple index (PEP 503) with caching headers; LOG gets a line for each answer
"""
import base64, hashlib, http.server, os, pathlib, random, re, subprocess, sys, tempfile, urllib.parse, zipfile

# Real code: extension modules, thousands of small files, data.
DEBIAN = """numpy scipy pandas torch matplotlib sympy sklearn django babel jinja2 markupsafe yaml requests urllib3 idna
certifi chardet six dateutil tz pyparsing packaging mpmath networkx pygments docutils tqdm click decorator""".split()
# What is large in images of today (libraries of CUDA), and a small one to be bumped: name -> bytes of its library.
SYNTHETIC = {"cublas": 300, "cudnn": 350, "cufft": 200, "cusparse": 180, "cusolver": 160, "nccl": 200, "triton": 150}


def wheel(path, name, version, files, tag="py3-none-any"):
    """Writes a wheel of files: path -> bytes, or a function that makes them."""
    info = f"{name}-{version}.dist-info/"
    rows = []
    with zipfile.ZipFile(path.with_suffix(".part"), "w", zipfile.ZIP_DEFLATED, compresslevel=1) as z:
        def add(member, data):
            z.writestr(zipfile.ZipInfo(member, (2020, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            rows.append(f"{member},sha256={digest},{len(data)}\n")
        for member in sorted(files):
            data = files[member]
            add(member, data() if callable(data) else data)
        add(info + "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode())
        add(info + "WHEEL", f"Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: {tag == 'py3-none-any'}\nTag: {tag}\n".encode())
        z.writestr(zipfile.ZipInfo(info + "RECORD", (2020, 1, 1, 0, 0, 0)), "".join(rows) + info + "RECORD,,\n")
    path.with_suffix(".part").rename(path)


def library(name, size):
    """Bytes that compress to about a third, as machine code does; the same every time."""
    r = random.Random(name)
    return b"".join(r.randbytes(10 << 10) * 3 for _ in range(size // (30 << 10)))


def from_debian(deb, target):
    """Makes the wheel of a Debian package, by its metadata."""
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(["dpkg-deb", "-x", deb, "x"], cwd=work, check=True)
        root = pathlib.Path(work, "x/usr/lib/python3/dist-packages")
        files, name, version = {}, None, None
        for f in sorted(root.rglob("*")):
            member = str(f.relative_to(root))
            if not f.is_file() or f.is_symlink():
                continue
            if re.match(r"[^/]+\.(egg|dist)-info(/|$)", member):
                if f.name in ("PKG-INFO", "METADATA") or "/" not in member:
                    text = f.read_text(errors="replace")
                    name = re.search("(?m)^Name: (.+)$", text)[1]
                    version = re.search("(?m)^Version: (.+)$", text)[1]
                continue
            files[member] = f.read_bytes()
        if name is None:
            return None
        name = re.sub(r"[-_.]+", "_", name)
        native = re.search(r"\.cpython-(3\d+)-", "\n".join(files))
        tag = "cp{0}-cp{0}-linux_{1}".format(native[1], os.uname().machine) if native else "py3-none-any"
        wheel(target / f"{name}-{version}-{tag}.whl", name, version, files, tag)
        return f"{name}=={version}"


def make(target, size):
    target.mkdir(parents=True, exist_ok=True)
    if (target / "requirements.txt").exists():
        return
    debs = target.parent / "debs"
    debs.mkdir(exist_ok=True)
    missing = [p for p in DEBIAN if not any(debs.glob(f"python3-{p}_*.deb"))]
    if missing:
        subprocess.run(["apt-get", "download", "-qq"] + ["python3-" + p for p in missing], cwd=debs, check=True, stderr=subprocess.DEVNULL)
    wanted = [deb for deb in sorted(debs.glob("*.deb")) if size == "full" or os.path.getsize(deb) < 5e5]
    pins = list(filter(None, (from_debian(deb.resolve(), target) for deb in wanted)))
    for name, mb in SYNTHETIC.items():
        size_of = mb << 20 if size == "full" else mb << 16
        wheel(target / f"{name}-1.0-py3-none-any.whl", name, "1.0",
              {f"{name}/__init__.py": b"x = 1\n", f"{name}/lib{name}.so": lambda: library(name, size_of)})
        pins.append(f"{name}==1.0")
    for version in ("1.0", "1.1"):
        text = b"".join(b"def f%d():\n    return '%s'\n" % (i, version.encode()) for i in range(1500))
        wheel(target / f"bumped-{version}-py3-none-any.whl", "bumped", version, {"bumped/__init__.py": text})
    (target / "requirements.txt").write_text("\n".join(pins + ["bumped==1.0"]) + "\n")


def serve(target, address, log):
    out = open(log, "a", buffering=1)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def do_GET(self):
            name = urllib.parse.unquote(self.path).strip("/").split("/")[-1]
            if self.path.startswith("/simple/"):
                wheels = [f.name for f in sorted(target.glob("*.whl"))
                          if re.sub(r"[-_.]+", "-", f.name.split("-")[0]).lower() == name]
                body = "".join(f'<a href="/files/{w}">{w}</a>\n' for w in wheels).encode()
                self.answer(200 if wheels else 404, "text/html", "max-age=0", len(body), [body], hashlib.sha256(body).hexdigest())
            elif self.path.startswith("/files/") and (target / name).is_file():
                with open(target / name, "rb") as f:
                    self.answer(200, "binary/octet-stream", "max-age=365000000, immutable, public",
                                os.fstat(f.fileno()).st_size, iter(lambda: f.read(1 << 20), b""), name)
            else:
                self.answer(404, "text/plain", "no-store", 0, [], "")

        def answer(self, status, kind, caching, length, body, tag):
            if tag and self.headers.get("If-None-Match") == f'"{tag}"':
                status, length, body = 304, 0, []
            self.send_response(status)
            for header in (("Content-Type", kind), ("Cache-Control", caching), ("ETag", f'"{tag}"'), ("Content-Length", str(length))):
                self.send_header(*header)
            self.end_headers()
            for block in body:
                self.wfile.write(block)
            out.write(f"{status} {self.path} {length}\n")

    host, port = address.rsplit(":", 1)
    http.server.ThreadingHTTPServer((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "make" and sys.argv[3] in ("small", "full"):
        make(pathlib.Path(sys.argv[2]), sys.argv[3])
    elif len(sys.argv) == 5 and sys.argv[1] == "serve":
        serve(pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4])
    else:
        sys.exit(__doc__)
