#!/bin/bash
# Checks `gbuild run` and `gbuild build` with real NVIDIA GPUs: a line PASS, FAIL or SKIP for each check. The exit code is the number of failures.
#
#   scripts/gpu-check.sh [GBUILD] [IMAGE]
#
# GBUILD is a static gbuild (default: gbuild of the PATH), IMAGE one with glibc, bash and python3 that gbuild can open: an OCI layout or
# archive needs no network (default: python:3.13-slim). Neither Docker nor NVIDIA's container tools are needed, nor a CUDA toolkit: kernels
# are PTX, which the driver compiles. nvcc and PyTorch of this host are tried where they are. As root, an ordinary user who has subordinate ids is tried,
# too: $GPU_CHECK_USER, or the first one in /etc/subuid. VECTOR is the length of the vectors that are added. All is written to $GPU_CHECK_RESULT (gpu-check.result), too. Nothing of this machine is changed.
set -u
gbuild=$(command -v "${1:-gbuild}") image=${2:-python:3.13-slim} result=${GPU_CHECK_RESULT:-gpu-check.result} started=$SECONDS
export VECTOR=${VECTOR:-1048576}
[ -x "$gbuild" ] || { echo "usage: $0 GBUILD [IMAGE]" >&2; exit 2; }
case $gbuild in /*) ;; *) gbuild=$PWD/$gbuild ;; esac
case $image in oci:*) image=oci:$(realpath "${image#oci:}") ;; esac
exec > >(tee "$result") 2>&1
work=$(mktemp -d "${TMPDIR:-/var/tmp}/gpu-check.XXXXXX")
mkdir "$work/c" "$work/w" "$work/out"
chmod 755 "$work" "$work/c"
chmod 777 "$work/w" "$work/out"
export GBUILD_ROOT=$work/root GBUILD_CACHE_DIR=$work/caches
own=
finish() {
	[ -z "$own" ] || setpriv --reuid "$own" --regid "$own" --init-groups unshare --map-root-user --map-auto rm -rf "$work/user/root"
	rm -rf "$work"
}
trap finish EXIT

passed=0 failed=0 skipped=0
pass() { passed=$((passed + 1)); echo "PASS  $1"; }
fail() { failed=$((failed + 1)); echo "FAIL  $1"; tail -n 8 "$work/log" 2>/dev/null | cut -c1-400 | sed 's/^/      /'; }
skip() { skipped=$((skipped + 1)); echo "SKIP  $1 ($2)"; }
# check NAME COMMAND…: PASS when the command succeeds.
check() { local name=$1; shift; if "$@" >"$work/log" 2>&1; then pass "$name"; else echo "exit code $?" >>"$work/log"; fail "$name"; fi; }
# refused NAME TEXT COMMAND…: PASS when the command fails and says TEXT.
refused() { local name=$1 text=$2; shift 2; if ! "$@" >"$work/log" 2>&1 && grep -q -- "$text" "$work/log"; then pass "$name"; else fail "$name"; fi; }
# exits CODE NAME COMMAND…
exits() { local want=$1 name=$2 got; shift 2; "$@" >"$work/log" 2>&1; got=$?; if [ $got = "$want" ]; then pass "$name"; else echo "exit code $got, want $want" >>"$work/log"; fail "$name"; fi; }
run() { timeout 300 "$gbuild" run "$@"; }
gpu() { cuda --gpus all "$image" bash -c "$1"; }
cuda() { run -e VECTOR -v "$work/c:/c:ro" "$@"; } # flags, then the image and what is done there
ms() { local t; t=$(date +%s%N); "$@" >/dev/null 2>&1 || { echo 999999; return; }; echo $((($(date +%s%N) - t) / 1000000)); }
median() { for _ in 1 2 3 4 5; do ms "$@"; done | sort -n | sed -n 3p; }

cat >"$work/c/cuda.py" <<'PY'
# Uses a GPU by libcuda.so.1 alone: init, add (a kernel adds two vectors), ipc (another process opens the memory of this one), bench (GB/s).
import array, ctypes, os, subprocess, sys, time
PTX = """
.version 7.0
.target TARGET
.address_size 64
.visible .entry add(.param .u64 pa, .param .u64 pb, .param .u64 pc, .param .u32 pn)
{
	.reg .pred %p<2>; .reg .b32 %r<6>; .reg .f32 %f<4>; .reg .b64 %rd<8>;
	mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; ld.param.u32 %r3, [pn]; mov.u32 %r4, %tid.x;
	mad.lo.s32 %r5, %r1, %r2, %r4;
	setp.ge.u32 %p1, %r5, %r3;
	@%p1 bra END;
	ld.param.u64 %rd4, [pa]; ld.param.u64 %rd5, [pb]; ld.param.u64 %rd6, [pc];
	mul.wide.u32 %rd7, %r5, 4;
	add.s64 %rd1, %rd4, %rd7; add.s64 %rd2, %rd5, %rd7; add.s64 %rd3, %rd6, %rd7;
	ld.global.f32 %f1, [%rd1]; ld.global.f32 %f2, [%rd2];
	add.f32 %f3, %f1, %f2;
	st.global.f32 [%rd3], %f3;
END:
	ret;
}
"""
lib = ctypes.CDLL("libcuda.so.1")
def call(name, *args):
    r = getattr(lib, name)(*args)
    if r:
        text = ctypes.c_char_p()
        lib.cuGetErrorString(r, ctypes.byref(text))
        raise SystemExit(f"{name}: CUDA error {r}: {text.value}")
size = ctypes.c_size_t
def alloc(n):
    p = ctypes.c_uint64(); call("cuMemAlloc_v2", ctypes.byref(p), size(n)); return p
def get(p, n):
    b = ctypes.create_string_buffer(n); call("cuMemcpyDtoH_v2", b, p, size(n)); return b.raw
def put(p, data): call("cuMemcpyHtoD_v2", p, data, size(len(data)))
def add(n=int(os.environ.get("VECTOR", 1 << 16))):
    module, f = ctypes.c_void_p(), ctypes.c_void_p()
    for target in "sm_75", "sm_52":
        if not (r := lib.cuModuleLoadDataEx(ctypes.byref(module), PTX.replace("TARGET", target).encode() + b"\0", 0, None, None)): break
    if r: raise SystemExit(f"the kernel is not taken: {r}")
    call("cuModuleGetFunction", ctypes.byref(f), module, b"add")
    a, b, c = alloc(4 * n), alloc(4 * n), alloc(4 * n)
    x, y, z = array.array("f", (i % 1000 for i in range(n))), array.array("f", (2 * (i % 777) for i in range(n))), array.array("f")
    put(a, x.tobytes()); put(b, y.tobytes()); put(c, bytes(4 * n))
    count = ctypes.c_uint32(n)
    args = (ctypes.c_void_p * 4)(*(ctypes.cast(ctypes.byref(v), ctypes.c_void_p) for v in (a, b, c, count)))
    call("cuLaunchKernel", f, (n + 255) // 256, 1, 1, 256, 1, 1, 0, None, args, None); call("cuCtxSynchronize")
    z.frombytes(get(c, 4 * n))
    if wrong := sum(z[i] != x[i] + y[i] for i in range(n)): raise SystemExit(f"{wrong} of {n} sums are wrong")
class Handle(ctypes.Structure): _fields_ = [("text", ctypes.c_char * 64)]
def ipc():
    from multiprocessing import shared_memory
    p = alloc(1 << 20); put(p, bytes(range(256)) * 4096); call("cuCtxSynchronize")
    h = Handle(); call("cuIpcGetMemHandle", ctypes.byref(h), p)
    m = shared_memory.SharedMemory(create=True, size=64); m.buf[:64] = bytes(h)
    try: subprocess.run([sys.executable, __file__, "opened", m.name], check=True, timeout=60)
    finally: m.close(); m.unlink()
    if get(p, 16) != b"*" * 16: raise SystemExit("what the other process wrote did not arrive")
def opened(name):
    with open("/dev/shm/" + name, "rb") as f: h = Handle.from_buffer_copy(f.read(64))
    p = ctypes.c_uint64()
    lib.cuIpcOpenMemHandle_v2.argtypes = [ctypes.c_void_p, Handle, ctypes.c_uint]
    call("cuIpcOpenMemHandle_v2", ctypes.byref(p), h, 1)
    if get(p, 256) != bytes(range(256)): raise SystemExit("the memory of the other process reads wrong")
    call("cuMemsetD8_v2", p, ctypes.c_ubyte(42), size(16)); call("cuCtxSynchronize"); call("cuIpcCloseMemHandle", p)
def bench(n=256 << 20, rounds=20):
    a, b, host = alloc(n), alloc(n), ctypes.c_void_p()
    call("cuMemAllocHost_v2", ctypes.byref(host), size(n))
    for name, f in ("d2d", lambda: call("cuMemcpyDtoD_v2", b, a, size(n))), ("h2d", lambda: call("cuMemcpyHtoD_v2", a, host, size(n))), ("d2h", lambda: call("cuMemcpyDtoH_v2", host, a, size(n))):
        f(); call("cuCtxSynchronize"); t = time.perf_counter()
        for _ in range(rounds): f()
        call("cuCtxSynchronize"); print(name, round(rounds * n / (time.perf_counter() - t) / 1e9, 1), "GB/s")
def hold(): alloc(4 << 30); print("held", flush=True); time.sleep(300)
device, context, t = ctypes.c_int(), ctypes.c_void_p(), time.perf_counter()
name = ctypes.create_string_buffer(100)
call("cuInit", 0); call("cuDeviceGet", ctypes.byref(device), 0); call("cuDeviceGetName", name, 100, device)
call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device); call("cuCtxSetCurrent", context)
print(name.value.decode(), f"{1000 * (time.perf_counter() - t):.0f} ms")
what = sys.argv[1]
if what != "init": globals()[what](*sys.argv[2:])
PY
chmod 644 "$work/c/cuda.py"

echo "== facts"
date -u; uname -rm; id; grep CapEff /proc/self/status; "$gbuild" version
ls -ln /dev/nvidia* /dev/dri /usr/local/nvidia/bin 2>/dev/null
cat /proc/driver/nvidia/version /sys/module/nvidia/version 2>/dev/null; grep -h . /proc/driver/nvidia/gpus/*/information 2>/dev/null
ls /etc/cdi /var/run/cdi 2>/dev/null; grep -E 'nvidia|cgroup| /proc| / ' /proc/mounts | head -n 20; ulimit -Hl -Hn
for tool in newuidmap ldconfig nvidia-smi nvidia-ctk nvcc; do command -v $tool || echo "$tool is not here"; done
"$gbuild" doctor

echo "== the host"
smi=$(command -v nvidia-smi || ls /usr/local/nvidia/bin/nvidia-smi /run/nvidia/driver/usr/bin/nvidia-smi 2>/dev/null | head -n 1)
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}:/usr/local/nvidia/lib64
"${smi:-false}" -L >"$work/smi" 2>&1; cat "$work/smi"
count=$(grep -c '^GPU ' "$work/smi") uuid=$(grep -o 'GPU-[0-9a-f-]*' "$work/smi" | head -n 1)
check "nvidia-smi lists a GPU" [ "$count" -gt 0 ]
[ "$count" -gt 0 ] || { echo; echo "PASS $passed  FAIL $failed  SKIP $skipped: no GPU, so nothing else is tried"; exit 1; }
imitation= real=1
if python3 "$work/c/cuda.py" init 2>/dev/null | grep -q '^Imitation'; then imitation="the GPU is an imitation" real=; fi
check "a vector is added on the host" python3 "$work/c/cuda.py" add
check "gbuild gpu list has every UUID" bash -c '"$1" gpu list >"$2/list" && grep -o "GPU-[0-9a-f-]*" "$2/smi" | while read -r u; do grep -q "$u" "$2/list" || exit 1; done' _ "$gbuild" "$work"
check "gbuild gpu cdi is a spec with libcuda and libnvidia-ml" bash -c '"$1" gpu cdi >"$2/cdi" && grep -q libcuda.so "$2/cdi" && grep -q libnvidia-ml.so "$2/cdi"' _ "$gbuild" "$work"
host() { ls -l /dev/nvidia*; find /usr/local -maxdepth 3 2>/dev/null | sort; md5sum /etc/ld.so.cache; }
host >"$work/before" 2>/dev/null

echo "== containers"
check "one without GPUs starts (and the image is unpacked)" run "$image" true
check "it has no GPU" run "$image" bash -c '! ls /dev/nvidia* && ! command -v nvidia-smi'
same() { gpu 'nvidia-smi -L' | diff "$work/smi" -; }
check "nvidia-smi -L is the host's" same
check "nvidia-smi shows its table" gpu nvidia-smi
check "the loader's cache has libcuda and libnvidia-ml" gpu 'ldconfig -p | grep libcuda.so.1 && ldconfig -p | grep libnvidia-ml.so.1'
check "a vector is added" gpu 'python3 /c/cuda.py add'
check "…without LD_LIBRARY_PATH" gpu 'unset LD_LIBRARY_PATH; python3 /c/cuda.py add'
check "…without the loader's cache" gpu 'rm -f /etc/ld.so.cache; python3 /c/cuda.py add'
check "…after ldconfig" gpu 'ldconfig; unset LD_LIBRARY_PATH; python3 /c/cuda.py add'
check "CUDA IPC of two processes" gpu 'python3 /c/cuda.py ipc'
for flags in "-u 1000:1000" "-u 12345" --read-only "--network none" "--network host" "--cap-drop ALL" --privileged "--ipc host" "--security-opt no-new-privileges" "--userns keep-id -u 1000" "--shm-size 8g" "--runtime nvidia"; do
	check "a vector is added with $flags" cuda --gpus all $flags "$image" python3 /c/cuda.py add
done
if ldd "$gbuild" >/dev/null 2>&1; then
	skip "a vector is added with --init" "this gbuild is not static"
else
	check "a vector is added with --init" cuda --gpus all --init "$image" python3 /c/cuda.py add
fi
check "/dev/shm is half of the memory" gpu '[ $(df -k --output=size /dev/shm | tail -n 1) -gt $(($(awk "/MemTotal/ {print \$2}" /proc/meminfo) * 45 / 100)) ]'

echo "== which GPUs"
check "--gpus 1 gives one" bash -c '[ "$("$1" run --gpus 1 "$2" nvidia-smi -L | grep -c "^GPU ")" = 1 ]' _ "$gbuild" "$image"
for flags in "--gpus device=0" "--gpus device=$uuid" '--gpus "device=0"' "--device nvidia.com/gpu=0" "--device nvidia.com/gpu=all" "--gpus all,capabilities=compute" "--runtime nvidia -e NVIDIA_VISIBLE_DEVICES=0"; do
	check "a vector is added with $flags" cuda $flags "$image" python3 /c/cuda.py add
done
check "--gpus 0 gives none" run --gpus 0 "$image" bash -c '! ls /dev/nvidia*'
check "the utility capability alone: nvidia-smi, and no libcuda" run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=utility "$image" bash -c 'nvidia-smi -L && ! ldconfig -p | grep -q libcuda.so && ! ls /usr/local/nvidia/lib64/libcuda.so*'
check "all capabilities: no link to a library leads nowhere" run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=all "$image" bash -c 'for l in /usr/local/nvidia/lib64/lib*.so.* /usr/lib/*/libnvidia*.so.*; do [ -e "$l" ] || { echo "$l"; exit 1; }; done'
refused "more GPUs than there are" "this host has $count" run --gpus $((count + 1)) "$image" true
refused "a UUID that nobody has" "unresolvable CDI devices" run --gpus device=GPU-wrong "$image" true
refused "--gpus nonsense" "invalid count" run --gpus nonsense "$image" true
refused "an image that needs CUDA 99" "image needs cuda>=99" run --gpus all -e 'NVIDIA_REQUIRE_CUDA=cuda>=99' "$image" true
check "…runs with NVIDIA_DISABLE_REQUIRE" run --gpus all -e 'NVIDIA_REQUIRE_CUDA=cuda>=99' -e NVIDIA_DISABLE_REQUIRE=1 "$image" true

echo "== mounts and places"
check "a read-only volume over /usr/local" cuda --gpus all -v "$work/w:/usr/local:ro" "$image" nvidia-smi -L
mkdir -p "$work/w/local"; run --gpus all -v "$work/w/local:/usr/local" "$image" true >/dev/null 2>&1
check "nothing is left in a volume over /usr/local" bash -c '[ -z "$(find "$1" -mindepth 1)" ]' _ "$work/w/local"
if [ "$(id -u)" = 0 ]; then
	check "in a GPU container, which covers a part of /proc" unshare -m bash -c 'mount --bind /etc/hostname /proc/driver/nvidia/params && exec "$1" run --gpus all "$2" nvidia-smi -L' _ "$gbuild" "$image"
else
	skip "in a GPU container, which covers a part of /proc" "only root can cover it"
fi
printf 'FROM %s\nRUN nvidia-smi -L && python3 -c "import ctypes; raise SystemExit(ctypes.CDLL(\\"libcuda.so.1\\").cuInit(0))" && touch /made\n' "$image" >"$work/w/Dockerfile"
case $image in oci:*) context="--build-context base=oci-layout://${image#oci:}"; sed -i "s/^FROM .*/FROM base/" "$work/w/Dockerfile" ;; *) context= ;; esac
check "a RUN of gbuild build --gpus all initialises CUDA" timeout 300 "$gbuild" build -q --gpus all $context -t gpu-check -f "$work/w/Dockerfile" "$work/out"
check "…and nothing of the driver is in the image" run gpu-check bash -c 'test -e /made && ! ls -d /usr/local/nvidia /run/gbuild && ! ldconfig -p | grep -q libcuda'

echo "== life"
exits 3 "exit code 3" run --gpus all "$image" bash -c 'exit 3'
exits 137 "exit code 137" run --gpus all "$image" bash -c 'bash -c "kill -9 \$\$"; exit $?' # the first process cannot kill itself
if command -v script >/dev/null; then
	check "-it has a terminal" script -qec "'$gbuild' run --gpus all -it '$image' bash -c 'test -t 0 && nvidia-smi -L'" /dev/null
else
	skip "-it has a terminal" "no script(1)"
fi
printf 'GPU_CHECK=yes\n' >"$work/env"
check "--env-file" run --gpus all --env-file "$work/env" "$image" bash -c '[ "$GPU_CHECK" = yes ]'
check "two containers at once" bash -c 'for i in 1 2; do "$1" run --gpus all -v "$3/c:/c:ro" "$2" python3 /c/cuda.py add & p="${p:-} $!"; done; for q in $p; do wait $q || exit 1; done' _ "$gbuild" "$image" "$work"
check "-d, exec, exec as a user, stop, rm" bash -c '"$1" run -d --name gc --gpus all -v "$3/c:/c:ro" "$2" sleep 300 && "$1" exec gc nvidia-smi -L && "$1" exec gc python3 /c/cuda.py add && "$1" exec -u 1000 gc python3 /c/cuda.py init && "$1" stop -t 2 gc && "$1" rm gc' _ "$gbuild" "$image" "$work"
if [ -n "$real" ]; then
	check "a killed container gives its GPU memory back" bash -c 'smi=$4; used() { "$smi" --query-gpu=memory.used --format=csv,noheader,nounits -i 0; }; before=$(used); "$1" run -d --name gh --gpus all -v "$3/c:/c:ro" "$2" python3 /c/cuda.py hold >/dev/null || exit; for i in $(seq 60); do "$1" logs gh | grep -q held && break; sleep .5; done; during=$(used); "$1" kill gh >/dev/null; "$1" rm gh >/dev/null; for i in $(seq 20); do sleep .5; after=$(used); [ $after -lt $((before + 1000)) ] && break; done; echo "MiB before $before during $during after $after"; [ $during -gt $((before + 3000)) ] && [ $after -lt $((before + 1000)) ]' _ "$gbuild" "$image" "$work" "$smi"
	a=$(median run "$image" true) b=$(median run --gpus all "$image" true)
	echo "start, median of 5: $a ms without, $b ms with GPUs"
	check "GPUs cost at most 15 ms at the start" [ $((b - a)) -le 15 ]
	python3 "$work/c/cuda.py" bench >"$work/host-bench" 2>&1; gpu 'python3 /c/cuda.py bench' >"$work/own-bench" 2>&1; paste "$work/host-bench" "$work/own-bench"
	check "copies are within 10 % of the host's" python3 -c 'import re, sys; h, c = (list(map(float, re.findall(r"(\S+) GB/s", open(f).read()))) for f in sys.argv[1:]); assert len(h) == len(c) == 3 and all(y > 0.9 * x for x, y in zip(h, c))' "$work/host-bench" "$work/own-bench"
else
	skip "a killed container gives its GPU memory back" "$imitation"
	skip "GPUs cost at most 15 ms at the start" "$imitation"
	skip "copies are within 10 % of the host's" "$imitation"
fi
check "--ulimit memlock=-1 is unlimited, or said not to be" bash -c 'out=$("$1" run --gpus all --ulimit memlock=-1 "$2" bash -c "ulimit -l" 2>&1); case $out in *unlimited*|*memlock*) ;; *) echo "$out"; exit 1 ;; esac' _ "$gbuild" "$image"

echo "== an ordinary user"
user=${GPU_CHECK_USER:-$(cut -d: -f1 /etc/subuid 2>/dev/null | while read -r u; do id "$u" >/dev/null 2>&1 && echo "$u" && break; done)}
if [ "$(id -u)" != 0 ]; then
	skip "an ordinary user" "this is one"
elif [ -z "$user" ] || ! command -v newuidmap >/dev/null; then
	skip "an ordinary user" "none has subordinate ids here, or there is no newuidmap"
else
	own=$user
	mkdir "$work/user"; chown "$user" "$work/user"
	as() { timeout 300 setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups env HOME="$work/user" GBUILD_ROOT="$work/user/root" GBUILD_CACHE_DIR="$work/user/caches" "$@"; }
	check "$user: gbuild doctor" as "$gbuild" doctor
	check "$user: nvidia-smi -L is the host's" bash -c 'diff "$1" <("${@:2}")' _ "$work/smi" setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups env HOME="$work/user" GBUILD_ROOT="$work/user/root" "$gbuild" run --gpus all "$image" nvidia-smi -L
	check "$user: a vector is added" as "$gbuild" run --gpus all -v "$work/c:/c:ro" "$image" python3 /c/cuda.py add
	check "$user: …as user 1000 of the image" as "$gbuild" run --gpus all -u 1000 -v "$work/c:/c:ro" "$image" python3 /c/cuda.py add
	check "$user: CUDA IPC of two processes" as "$gbuild" run --gpus all -v "$work/c:/c:ro" "$image" python3 /c/cuda.py ipc
	check "$user: files in a volume are the user's" bash -c '"${@:3}" && [ "$(stat -c %U "$1/f")" = "$2" ]' _ "$work/out" "$user" setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups env HOME="$work/user" GBUILD_ROOT="$work/user/root" "$gbuild" run --gpus all -v "$work/out:/o" "$image" bash -c 'nvidia-smi -L >/o/f'
fi

echo "== nvcc and PyTorch of this host"
nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)
if [ -n "$nvcc" ] && [ -n "$real" ]; then
	cat >"$work/w/add.cu" <<'CU'
#include <cstdio>
__global__ void add(const float *a, const float *b, float *c, int n) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) c[i] = a[i] + b[i]; }
int main() {
  const int n = 1 << 20; static float h[n], g[n], r[n]; float *a, *b, *c;
  for (int i = 0; i < n; i++) { h[i] = i; g[i] = 2 * i; }
  if (cudaMalloc(&a, 4 * n) || cudaMalloc(&b, 4 * n) || cudaMalloc(&c, 4 * n)) return 2;
  cudaMemcpy(a, h, 4 * n, cudaMemcpyHostToDevice); cudaMemcpy(b, g, 4 * n, cudaMemcpyHostToDevice);
  add<<<(n + 255) / 256, 256>>>(a, b, c, n);
  if (cudaMemcpy(r, c, 4 * n, cudaMemcpyDeviceToHost)) { puts(cudaGetErrorString(cudaGetLastError())); return 3; }
  for (int i = 0; i < n; i++) if (r[i] != h[i] + g[i]) return 4;
}
CU
	check "nvcc builds a program" "$nvcc" -cudart static -o "$work/w/add" "$work/w/add.cu"
	check "…which runs in a container" run --gpus all -v "$work/w:/w" "$image" /w/add
else
	skip "a program of nvcc" "${imitation:-no nvcc}"
fi
python=$(for p in python3 /opt/torch/.venv/bin/python3; do "$p" -c 'import torch; raise SystemExit(not torch.cuda.is_available())' 2>/dev/null && command -v "$p" && break; done)
if [ -n "$python" ]; then
	cat >"$work/w/matmul.py" <<'PY'
import time, torch
a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
for _ in range(10): b = a @ a
torch.cuda.synchronize(); t = time.time()
for _ in range(50): b = a @ a
torch.cuda.synchronize(); print(f"TFLOPS {50 * 2 * 8192**3 / (time.time() - t) / 1e12:.1f}")
PY
	cat >"$work/w/ipc.py" <<'PY'
import torch, torch.multiprocessing as mp
from torch.utils.data import DataLoader
def child(q, r): r.put(float(q.get().sum()))
if __name__ == "__main__":
    mp.set_start_method("spawn"); q, r = mp.Queue(), mp.Queue()
    p = mp.Process(target=child, args=(q, r)); p.start()
    x = torch.ones(1 << 20, device="cuda"); q.put(x)
    assert r.get(timeout=120) == 1 << 20; p.join()
    assert sum(b.numel() for b in DataLoader(torch.ones(64, 1 << 20), batch_size=8, num_workers=8)) == 64 << 20
PY
	# The host's Python, with the directories that it lies in, but not /usr as a whole: that is the image's.
	binds=$(for d in /usr/*/ $("$python" -c 'import sys; print("\n".join({"/" + x.split("/")[1] for x in (sys.prefix, sys.base_prefix, sys.executable)}))'); do d=${d%/}; [ "$d" = /usr ] || [ -L "$d" ] || printf -- '-v %s:%s:ro ' "$d" "$d"; done)
	torch() { run --gpus all $binds -v "$work/w:/w" "$@"; }
	h=$("$python" "$work/w/matmul.py" | sed -n 's/TFLOPS //p') c=$(torch "$image" "$python" /w/matmul.py 2>"$work/log" | sed -n 's/TFLOPS //p')
	echo "matmul: host ${h:-none}, container ${c:-none} TFLOP/s"
	check "PyTorch: matmul within 3 % of the host's" awk -v h="${h:-0}" -v c="${c:-0}" 'BEGIN { exit !(h > 0 && c > 0.97 * h) }'
	check "PyTorch: CUDA IPC, and 8 loader workers" torch "$image" "$python" /w/ipc.py
	check "PyTorch: CUDA IPC with expandable segments" torch -e PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True "$image" "$python" /w/ipc.py
	check "PyTorch: NCCL" torch -e MASTER_ADDR=127.0.0.1 -e MASTER_PORT=29500 "$image" "$python" -c 'import torch, torch.distributed as d; d.init_process_group("nccl", rank=0, world_size=1); x = torch.ones(1 << 20, device="cuda"); d.all_reduce(x); torch.cuda.synchronize(); assert float(x.sum()) == 1 << 20; d.destroy_process_group()'
else
	skip "PyTorch" "${imitation:-none on this host that sees a GPU}"
fi

echo "== what is left"
host >"$work/after" 2>/dev/null
check "the host's nodes, /usr/local and loader's cache are as before" diff "$work/before" "$work/after"
check "no container and no mount is left" bash -c '[ "$("$1" ps -a | wc -l)" = 1 ] && ! grep -F "$2/" /proc/mounts' _ "$gbuild" "$work"
echo
echo "PASS $passed  FAIL $failed  SKIP $skipped  in $((SECONDS - started)) s"
exit $((failed > 99 ? 99 : failed))
