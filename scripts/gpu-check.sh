#!/bin/bash
# Checks `gbuild run` with real NVIDIA GPUs: one line PASS, FAIL or SKIP per check, exit code 1 if one failed.
#
#   scripts/gpu-check.sh [GBUILD] [IMAGE]
#
# GBUILD is a static gbuild (default: gbuild of the PATH), IMAGE any image with glibc and bash that gbuild can open: an
# OCI layout needs no network (default: ubuntu:24.04). Needs neither Docker nor NVIDIA's container
# tools. As root it repeats the first checks as the user $GPU_CHECK_USER, if that is set. GPU_CHECK_TORCH=1 adds the
# host's PyTorch, with the host's /usr bound into the container.
set -u
gbuild=${1:-$(command -v gbuild)} image=${2:-ubuntu:24.04}
[ -x "${gbuild:-}" ] || { echo "usage: $0 GBUILD [IMAGE]" >&2; exit 2; }
work=$(mktemp -d) failed=0
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

pass() { printf 'PASS  %s\n' "$1"; }
fail() { printf 'FAIL  %s\n' "$1"; sed 's/^/      /' "$work/log" 2>/dev/null | tail -n 8; failed=1; }
skip() { printf 'SKIP  %s (%s)\n' "$1" "$2"; }
# check NAME COMMAND…: PASS when the command succeeds.
check() { local name=$1; shift; if "$@" >"$work/log" 2>&1; then pass "$name"; else fail "$name"; fi; }
# refused NAME TEXT COMMAND…: PASS when the command fails and says TEXT.
refused() {
	local name=$1 text=$2; shift 2
	if ! "$@" >"$work/log" 2>&1 && grep -q -- "$text" "$work/log"; then pass "$name"; else fail "$name"; fi
}
# exits CODE NAME COMMAND…
exits() { local want=$1 name=$2; shift 2; "$@" >"$work/log" 2>&1; local got=$?; if [ $got = "$want" ]; then pass "$name"; else echo "exit code $got, want $want" >>"$work/log"; fail "$name"; fi; }
run() { timeout 300 "$gbuild" run --rm "$@"; }
in_image() { run --gpus all "$image" bash -c "$1"; }

echo "== facts"
ls -l /dev/nvidia* /dev/dri /usr/local/nvidia/bin /usr/local/nvidia/lib64 2>/dev/null
cat /proc/driver/nvidia/version /proc/driver/nvidia/params /sys/module/nvidia/version /proc/driver/nvidia/gpus/*/information 2>/dev/null
ls /etc/cdi /var/run/cdi 2>/dev/null
grep -E 'nvidia|cgroup|proc' /proc/mounts | head -n 20
id; grep Cap /proc/self/status; cat /etc/subuid 2>/dev/null
for tool in newuidmap ldconfig nvidia-smi nvidia-ctk nvcc; do command -v $tool || echo "$tool is not here"; done

smi=$(command -v nvidia-smi || ls /usr/local/nvidia/bin/nvidia-smi 2>/dev/null)
count=0
echo "== the host"
if [ -n "$smi" ]; then
	LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}:/usr/local/nvidia/lib64 "$smi" -L >"$work/smi" 2>&1
	count=$(grep -c '^GPU ' "$work/smi")
fi
check "nvidia-smi lists a GPU on the host" [ "$count" -gt 0 ]
[ "$count" -gt 0 ] || exit 1
check "gbuild gpu list shows every UUID of nvidia-smi" bash -c '"$1" gpu list >"$2/list" && grep -o "GPU-[0-9a-f-]*" "$2/smi" | while read -r u; do grep "$u" "$2/list" || exit 1; done' _ "$gbuild" "$work"
check "gbuild gpu cdi writes a spec" bash -c '"$1" gpu cdi | grep "kind: nvidia.com/gpu"' _ "$gbuild"

echo "== containers"
check "the image runs without a GPU" run "$image" true
same_list() { in_image 'nvidia-smi -L' | diff "$work/smi" -; }
check "--gpus all: nvidia-smi -L is the host's" same_list
check "--gpus 1 gives one GPU" bash -c '[ "$("$1" run --rm --gpus 1 "$2" nvidia-smi -L | grep -c "^GPU ")" = 1 ]' _ "$gbuild" "$image"
uuid=$(grep -o 'GPU-[0-9a-f-]*' "$work/smi" | head -n 1)
check "--gpus device=UUID" bash -c '"$1" run --rm --gpus "device=$3" "$2" nvidia-smi -L | grep "$3"' _ "$gbuild" "$image" "$uuid"
check "--device nvidia.com/gpu=0" bash -c '"$1" run --rm --device nvidia.com/gpu=0 "$2" nvidia-smi -L' _ "$gbuild" "$image"
check "the loader's cache has libcuda" in_image 'ldconfig -p | grep libcuda.so.1'
init='import ctypes; c = ctypes.CDLL("libcuda.so.1"); raise SystemExit(c.cuInit(0))'
if run "$image" python3 -c '' >/dev/null 2>&1; then
	check "cuInit" in_image "python3 -c '$init'"
	check "cuInit without LD_LIBRARY_PATH" in_image "unset LD_LIBRARY_PATH; python3 -c '$init'"
	check "cuInit as uid 1000" run --gpus all --user 1000 "$image" python3 -c "$init"
	check "cuInit with a read-only root" run --gpus all --read-only "$image" python3 -c "$init"
else
	skip "cuInit" "no python3 in $image"
	check "nvidia-smi as uid 1000" run --gpus all --user 1000 "$image" nvidia-smi
	check "nvidia-smi with a read-only root" run --gpus all --read-only "$image" nvidia-smi
fi
if [ "$(id -u)" = 0 ] && [ -n "${GPU_CHECK_USER:-}" ]; then
	check "as $GPU_CHECK_USER" su "$GPU_CHECK_USER" -s /bin/bash -c "'$gbuild' run --rm --gpus all '$image' nvidia-smi -L"
else
	skip "as an ordinary user" "set GPU_CHECK_USER, or run this as one"
fi

echo "== CUDA"
nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)
if [ -n "$nvcc" ]; then
	cat >"$work/add.cu" <<'CU'
#include <cstdio>
__global__ void add(const float *a, const float *b, float *c, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) c[i] = a[i] + b[i];
}
int main() {
  const int n = 1 << 20;
  float *a, *b, *c;
  if (cudaMallocManaged(&a, 4 * n) || cudaMallocManaged(&b, 4 * n) || cudaMallocManaged(&c, 4 * n)) return 2;
  for (int i = 0; i < n; i++) { a[i] = i; b[i] = 2 * i; }
  add<<<(n + 255) / 256, 256>>>(a, b, c, n);
  if (cudaDeviceSynchronize() != cudaSuccess) { puts(cudaGetErrorString(cudaGetLastError())); return 3; }
  for (int i = 0; i < n; i++) if (c[i] != a[i] + b[i]) return 4;
  puts("vectorAdd is right");
}
CU
	check "nvcc builds vectorAdd" "$nvcc" -cudart static -o "$work/add" "$work/add.cu"
	check "vectorAdd, static cudart" run --gpus all -v "$work:/w" "$image" /w/add
	check "vectorAdd of two containers at once" bash -c 'for i in 1 2; do "$1" run --rm --gpus all -v "$3:/w" "$2" /w/add & p="${p:-} $!"; done; for q in $p; do wait "$q" || exit 1; done' _ "$gbuild" "$image" "$work"
	check "nvcc builds vectorAdd, shared cudart" "$nvcc" -cudart shared -o "$work/adds" "$work/add.cu"
	check "vectorAdd, shared cudart" run --gpus all -v "$work:/w" -v /usr/local/cuda:/usr/local/cuda:ro -e LD_LIBRARY_PATH=/usr/local/cuda/lib64 "$image" /w/adds
else
	skip "vectorAdd" "no nvcc"
fi
if [ -n "${GPU_CHECK_TORCH:-}" ]; then
	cat >"$work/bench.py" <<'PY'
import time, torch
assert torch.cuda.is_available()
a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
for _ in range(10): b = a @ a
torch.cuda.synchronize(); t = time.time()
for _ in range(50): b = a @ a
torch.cuda.synchronize()
print(f"TFLOPS {50 * 2 * 8192**3 / (time.time() - t) / 1e12:.1f}")
PY
	site=$(python3 -c 'import torch, os; print(os.path.dirname(os.path.dirname(torch.__file__)))')
	host=$(python3 "$work/bench.py" | sed -n 's/^TFLOPS //p')
	torch() { run --gpus all -v "$work:/w" -v /usr:/usr:ro -v "$site:$site:ro" -e "PYTHONPATH=$site" "$@"; }
	here=$(torch "$image" python3 /w/bench.py 2>"$work/log" | sed -n 's/^TFLOPS //p')
	echo "matmul: host ${host:-none}, container ${here:-none} TFLOP/s"
	check "matmul within 2 % of the host" awk -v h="${host:-0}" -v c="${here:-0}" 'BEGIN { exit !(h > 0 && c > 0.98 * h) }'
	cat >"$work/ipc.py" <<'PY'
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
	check "CUDA IPC with expandable segments, and 8 loader workers" torch -e PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True "$image" python3 /w/ipc.py
fi

echo "== refusals"
check "without --gpus there is no GPU" run "$image" bash -c '! ls /dev/nvidia* && ! command -v nvidia-smi'
check "--gpus 0 gives none" run --gpus 0 "$image" bash -c '! ls /dev/nvidia*'
refused "--gpus $((count + 1)) on a host with $count" "this host has $count" run --gpus $((count + 1)) "$image" true
refused "--gpus device=GPU-wrong" "unresolvable CDI devices" run --gpus device=GPU-wrong "$image" true
refused "--gpus nonsense" "invalid count" run --gpus nonsense "$image" true
refused "NVIDIA_REQUIRE_CUDA=cuda>=99" "image needs cuda>=99" run --gpus all -e 'NVIDIA_REQUIRE_CUDA=cuda>=99' "$image" true
check "NVIDIA_DISABLE_REQUIRE runs it" run --gpus all -e 'NVIDIA_REQUIRE_CUDA=cuda>=99' -e NVIDIA_DISABLE_REQUIRE=1 "$image" true
check "NVIDIA_DRIVER_CAPABILITIES=utility leaves libcuda out" run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=utility "$image" bash -c 'nvidia-smi -L && ! ldconfig -p | grep -q libcuda.so && ! ls /usr/local/nvidia/lib64/libcuda.so*'

echo "== the terminal and the end"
if command -v script >/dev/null; then
	check "-it has a terminal" script -qec "'$gbuild' run --rm --gpus all -it '$image' test -t 0" /dev/null
else
	skip "-it has a terminal" "no script(1)"
fi
exits 3 "exit code 3" run --gpus all "$image" bash -c 'exit 3'
exits 137 "exit code 137" run --gpus all "$image" bash -c 'bash -c "kill -9 \$\$"; exit $?' # the first process cannot kill itself
printf 'GPU_CHECK=yes\n' >"$work/env"
check "--env-file" run --gpus all --env-file "$work/env" "$image" bash -c '[ "$GPU_CHECK" = yes ]'
check "SIGTERM ends it" bash -c '"$1" run --rm --gpus all "$2" bash -c "trap exit TERM; sleep 300 & wait" & p=$!; sleep 3; kill -TERM $p || exit 1; for i in $(seq 150); do kill -0 $p 2>/dev/null || exit 0; sleep .1; done; kill -9 $p; exit 1' _ "$gbuild" "$image"
ms() { local t=$(date +%s%N); "$@" >/dev/null 2>&1 || { echo 999999; return; }; echo $((($(date +%s%N) - t) / 1000000)); }
without=$(ms run "$image" true) with=$(ms run --gpus all "$image" true)
echo "start: $without ms without, $with ms with GPUs"
check "GPUs cost less than 100 ms at the start" [ $((with - without)) -lt 100 ]
check "no mount is left" bash -c '! grep -E "gbuild.*(nvidia|overlay)" /proc/mounts'
exit $failed
