package dockerfile_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/gbuild/gbuild/pkg/dockerfile"
)

// A Plan has the stages of the file. Resolved over the config of its base, a stage has steps.
func Example() {
	plan, err := dockerfile.Parse("Dockerfile", []byte(`
FROM scratch AS files
WORKDIR /srv
COPY *.html .

FROM files
ENV PORT=8080
RUN ["/serve", "--check"]
`), dockerfile.Options{})
	if err != nil {
		log.Fatal(err)
	}
	files, err := plan.Stages[0].Resolve(nil)
	if err != nil {
		log.Fatal(err)
	}
	target, err := plan.Target.Resolve(files.Config)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range append(files.Steps, target.Steps...) {
		fmt.Printf("%T %s\n", s, s.Meta().Title)
	}
	fmt.Println(target.Config.Config.Env)
	// Output:
	// *dockerfile.Mkdir WORKDIR /srv
	// *dockerfile.Copy COPY *.html .
	// *dockerfile.Run RUN ["/serve", "--check"]
	// [PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PORT=8080]
}

// An ARG has the value of the command line, or else its default. Above the first FROM it names bases.
func ExampleOptions_args() {
	plan, err := dockerfile.Parse("Dockerfile", []byte(`
ARG VERSION=3.12
FROM python:${VERSION}-slim
`), dockerfile.Options{Args: map[string]string{"VERSION": "3.13"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(plan.Target.Base.Name)
	// Output: python:3.13-slim
}

// An Error points at the line, and says what to do.
func ExampleError() {
	_, err := dockerfile.Parse("Dockerfile", []byte("FROM scratch\nCOPY x /y\n"), dockerfile.Options{Target: "web"})
	fmt.Println(err)
	if e := (*dockerfile.Error)(nil); errors.As(err, &e) {
		fmt.Println(e.Hint())
	}
	// Output:
	// Dockerfile: target stage "web" could not be found
	// no stage has a name: add AS NAME to a FROM
}
