// This file owns the Dockerfiles and contexts that the workloads build.

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// writeContexts writes the Dockerfiles of the workloads, each with its files. The ports of the registry and the index are
// others each time, so the files are written anew.
func (b *bench) writeContexts() error {
	shell := "FROM " + b.base("shell") + "\n"
	requirements, err := os.ReadFile(filepath.Join(b.dir, "wheels-"+b.size.name, "done"))
	if err != nil {
		return err
	}
	small := map[string]string{
		"probe/Dockerfile": shell + "RUN true\n",
		"tiny/Dockerfile":  shell + "WORKDIR /app\nCOPY . .\nRUN sh main.sh && echo built >/built\nCMD [\"sh\", \"main.sh\"]\n",
		"tiny/main.sh":     "echo hello\n",
		"pull/Dockerfile":  "FROM " + b.base("layers-"+b.size.name) + "\nRUN true\n",
		"files/Dockerfile": shell + "COPY files /data/\n",
		"steps/Dockerfile": shell + b.stepsOf(b.size.steps),
		"learning/Dockerfile": "FROM " + b.base("python") + `
WORKDIR /app
COPY requirements.txt .
ARG INDEX
RUN start=$(date +%s%N) && \
    pip install --no-cache-dir --disable-pip-version-check --quiet --root-user-action=ignore --index-url $INDEX --trusted-host 127.0.0.1 -r requirements.txt && \
    echo bench-inside-ms $((($(date +%s%N) - start) / 1000000))
COPY src src
CMD ["python3", "src/train.py"]
`,
		"learning/requirements.txt": string(requirements),
		"learning/src/train.py":     "print('training')\n",
	}
	for i := range 20 {
		small[fmt.Sprintf("learning/src/part%d.py", i)] = fmt.Sprintf("part = %d\n", i)
		small[fmt.Sprintf("tiny/part%d.sh", i)] = fmt.Sprintf("part=%d\n", i)
	}
	for name, body := range small {
		if err := writeFile(filepath.Join(b.contexts, name), body); err != nil {
			return err
		}
	}
	return b.writeFiles(filepath.Join(b.contexts, "files/files"), b.size.files, b.size.fileBytes)
}

func (b *bench) stepsOf(n int) string {
	var steps strings.Builder
	steps.WriteString("ARG ROUND=0\n")
	for i := range n {
		fmt.Fprintf(&steps, "RUN echo $ROUND %d >/step%d\n", i, i)
	}
	return steps.String()
}

// writeFiles makes a tree of n files in directories of 100, unless the one that is there has as many.
func (b *bench) writeFiles(dir string, n, bytes int) error {
	mark := filepath.Join(filepath.Dir(dir), ".made-"+filepath.Base(dir))
	want := fmt.Sprintf("%d %d", n, bytes)
	if have, err := os.ReadFile(mark); err == nil && string(have) == want {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	r := random(uint64(n))
	for i := range n {
		if err := writeFile(filepath.Join(dir, fmt.Sprint(i/100), fmt.Sprintf("file%d.py", i)), text(r, bytes)); err != nil {
			return err
		}
	}
	return writeFile(mark, want)
}

func writeFile(path, body string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(body), 0o644)
}
