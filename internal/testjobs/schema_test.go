// This file owns the schemas of the files in examples/ci: what each system reads of them, as far as they use it. A field that is not
// here is refused, so whoever adds one looks it up in the system's reference first.

package testjobs

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// read decodes one of the files strictly: one document, and no field that the type lacks.
func read[T any](t *testing.T, name string) (v T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../examples/ci", name))
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Fatalf("%s has a second document: %v", name, err)
	}
	return v
}

// manifest is what all kinds of Kubernetes have.
type manifest struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
}

func (m manifest) is(t *testing.T, version, kind string) {
	t.Helper()
	if m.APIVersion != version || m.Kind != kind || kind != "Pod" && m.Metadata.Name == "" {
		t.Errorf("this is %+v, not a %s of %s", m, kind, version)
	}
}

type kubernetesJob struct {
	manifest `yaml:",inline"`
	Spec     struct {
		BackoffLimit            *int `yaml:"backoffLimit"`
		TTLSecondsAfterFinished *int `yaml:"ttlSecondsAfterFinished"`
		Template                struct{ Spec podSpec }
	}
}

type podSpec struct {
	RestartPolicy string `yaml:"restartPolicy"`
	HostUsers     *bool  `yaml:"hostUsers"`
	Containers    []container
	Volumes       []volume
}

// container is one of a pod, or a step of Tekton or Shipwright.
type container struct {
	Name, Image, Script string
	Command, Args       []string
	WorkingDir          string `yaml:"workingDir"`
	TTY                 bool   `yaml:"tty"`
	Env                 []struct{ Name, Value string }
	SecurityContext     securityContext                      `yaml:"securityContext"`
	Resources           struct{ Requests map[string]string } // quantities
	VolumeMounts        []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
		ReadOnly  bool   `yaml:"readOnly"`
	} `yaml:"volumeMounts"`
}

type securityContext struct {
	RunAsUser      *int                  `yaml:"runAsUser"`
	RunAsGroup     *int                  `yaml:"runAsGroup"`
	ProcMount      string                `yaml:"procMount"`
	SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
}

type volume struct {
	Name     string
	EmptyDir *struct{} `yaml:"emptyDir"`
	Secret   *struct {
		SecretName string `yaml:"secretName"`
		Items      []struct{ Key, Path string }
	}
}

// check holds the rules by which an API server refuses a pod.
func (p podSpec) check(t *testing.T) {
	t.Helper()
	var volumes []string
	for _, v := range p.Volumes {
		volumes = append(volumes, v.Name)
		if (v.EmptyDir == nil) == (v.Secret == nil) {
			t.Errorf("volume %s has no kind, or two", v.Name)
		}
	}
	for _, c := range p.Containers {
		if c.Name == "" || c.Image == "" || c.Script != "" {
			t.Errorf("a container without name or image, or with a script: %+v", c)
		}
		if c.SecurityContext.ProcMount == "Unmasked" && (p.HostUsers == nil || *p.HostUsers) {
			t.Error("procMount: Unmasked needs hostUsers: false")
		}
		for _, m := range c.VolumeMounts {
			if !slices.Contains(volumes, m.Name) {
				t.Errorf("there is no volume %s", m.Name)
			}
		}
	}
}

type tektonTask struct {
	manifest `yaml:",inline"`
	Spec     struct {
		Description string
		Params      []struct {
			Name, Type string
			Default    any
		}
		Workspaces []struct {
			Name     string
			Optional bool
		}
		Results []struct{ Name, Type string }
		Steps   []container
	}
}

type shipwrightStrategy struct {
	manifest `yaml:",inline"`
	Spec     struct {
		Parameters      []struct{ Name, Description, Type, Default string }
		SecurityContext struct {
			RunAsUser  int `yaml:"runAsUser"`
			RunAsGroup int `yaml:"runAsGroup"`
		} `yaml:"securityContext"`
		Steps []container
	}
}

type argoTemplate struct {
	manifest `yaml:",inline"`
	Spec     struct {
		Entrypoint string
		Arguments  struct {
			Parameters []struct{ Name, Value string }
		}
		Templates []struct {
			Name    string
			Inputs  struct{ Parameters []struct{ Name string } }
			Outputs struct {
				Parameters []struct {
					Name      string
					ValueFrom struct{ Path string } `yaml:"valueFrom"`
				}
			}
			Container container
			Volumes   []volume
		}
	}
}

type gitlabJobs map[string]struct {
	Image struct {
		Name       string
		Entrypoint []string
	}
	Variables map[string]string
	Cache     struct {
		Key   string
		Paths []string
	}
	BeforeScript []string `yaml:"before_script"`
	Script       []string
	Artifacts    struct{ Paths []string }
}

type jenkinsPod struct {
	manifest `yaml:",inline"`
	Spec     podSpec
}

type buildkitePipeline struct {
	Steps []struct {
		Label, Command string
		Plugins        []map[string]struct {
			Image                       string
			Entrypoint                  *string
			Shell, Environment, Volumes []string
		}
	}
}

type dronePipeline struct {
	Kind, Type, Name string
	Steps            []scriptStep
}

type woodpeckerWorkflow struct{ Steps []scriptStep }

// scriptStep is a step whose commands are executed by the shell of its image.
type scriptStep struct {
	Name, Image string
	Environment map[string]struct {
		FromSecret string `yaml:"from_secret"`
	}
	Commands []string
}

type githubAction struct {
	Name, Description string
	Inputs            map[string]struct {
		Description string
		Default     *string
		Required    bool
	}
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Using string
		Steps []githubStep
	}
}

type githubStep struct {
	ID, Uses, Shell, Run string
	With, Env            map[string]string
}

type githubWorkflow struct {
	Name        string
	On          struct{ Push struct{ Branches []string } }
	Permissions map[string]string
	Jobs        map[string]struct {
		RunsOn string `yaml:"runs-on"`
		Steps  []githubStep
	}
}
