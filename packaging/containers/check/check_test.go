// Package check checks the examples for containers against the specifications of Compose and Kubernetes: by compose-go, which
// Docker Compose itself is made of, and by the types of Kubernetes' API. It is a module of its own, so that ticketd's own module
// needs neither.
package check

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// daemon is the image's user, and check its health check.
const (
	daemon = 65532
	php    = "33"
)

var check = []string{"/usr/bin/ticketd", "ping", "--timeout", "2s"}

// folders are the volumes of the daemon; PHP shares the socket's and the spool's.
var folders = []string{"/run/ticketd", "/var/lib/ticketd", "/var/spool/ticketd"}

func TestCompose(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: "..", ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: text}},
		Environment: types.Mapping{"DB_PASSWORD": "p$w%/@", "TICKETD_IMAGE": "localhost/ticketd:1.2.3"},
	})
	if err != nil {
		t.Fatal(err)
	}
	mounts := func(service string) (all []string) {
		s := project.Services[service]
		for _, v := range s.Volumes {
			if _, named := project.Volumes[v.Source]; !named {
				t.Errorf("%s: %s is no named volume", service, v.Source)
			}
			all = append(all, v.Source+":"+v.Target)
		}
		return all
	}
	shared := mounts("ticketd")
	for i, folder := range folders {
		if !strings.HasSuffix(shared[i], ":"+folder) {
			t.Errorf("the daemon has %v, want %v", shared, folders)
		}
	}
	for _, mount := range []string{shared[0], shared[2]} {
		if !slices.Contains(mounts("wordpress"), mount) {
			t.Errorf("WordPress has %v, without the daemon's %s", mounts("wordpress"), mount)
		}
	}
	d, prepare := project.Services["ticketd"], project.Services["ticketd-prepare"]
	if got := *d.Environment["TICKETD_SITES_MAIN_DSN"]; got != "wordpress:p$w%/@@tcp(db:3306)/wordpress" {
		t.Errorf("the dsn is %q", got)
	}
	if *d.Environment["TICKETD_SITES_MAIN_ALLOW_USERS"] != php || d.User != "" || prepare.User != "0:0" ||
		!slices.Equal(d.HealthCheck.Test, append([]string{"CMD"}, check...)) || d.StopGracePeriod == nil {
		t.Errorf("the daemon is %+v, its preparation %+v", d, prepare)
	}
	if c := project.Configs["nginx"].Content; !strings.Contains(c, "try_files $uri $uri/ /index.php?$args;") ||
		!strings.Contains(c, "location ~ \\.php$ {") {
		t.Errorf("nginx has %s", c)
	}
}

func TestKubernetes(t *testing.T) {
	t.Parallel()
	set := load(t)
	pod := set.Spec.Template.Spec
	names := []string{"ticketd-prepare", "ticketd-migrate", "ticketd"}
	for i, c := range pod.InitContainers {
		if c.Name != names[i] || len(c.VolumeMounts) != len(folders) {
			t.Errorf("container %s has %v", c.Name, c.VolumeMounts)
		}
		isRoot := c.Name == "ticketd-prepare"
		if user := *c.SecurityContext.RunAsUser; (user == 0) != isRoot || (!isRoot && user != daemon) {
			t.Errorf("container %s runs as %d", c.Name, user)
		}
	}
	sidecar, wordpress := pod.InitContainers[2], pod.Containers[0]
	if *sidecar.RestartPolicy != corev1.ContainerRestartPolicyAlways || *pod.SecurityContext.FSGroup != daemon ||
		!slices.Equal(sidecar.LivenessProbe.Exec.Command, check) || !slices.Equal(sidecar.StartupProbe.Exec.Command, check) {
		t.Errorf("the sidecar is %+v", sidecar)
	}
	volumes := []string{set.Spec.VolumeClaimTemplates[0].Name}
	for _, v := range pod.Volumes {
		volumes = append(volumes, v.Name)
	}
	at := make(map[string]corev1.VolumeMount)
	for _, c := range []corev1.Container{sidecar, wordpress} {
		for _, m := range c.VolumeMounts {
			if other, shared := at[m.MountPath]; shared && (other.Name != m.Name || other.SubPath != m.SubPath) || !slices.Contains(volumes, m.Name) {
				t.Errorf("%s is %+v and %+v, of the volumes %v", m.MountPath, m, other, volumes)
			}
			at[m.MountPath] = m
		}
	}
	for _, folder := range folders {
		if _, there := at[folder]; !there {
			t.Errorf("%s is no volume", folder)
		}
	}
}

// load decodes every document strictly: an unknown field is an error, as with `kubectl apply --validate=strict`.
func load(t *testing.T) *appsv1.StatefulSet {
	t.Helper()
	text, err := os.ReadFile("../kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	set := new(appsv1.StatefulSet)
	kinds := map[string]any{"ConfigMap": new(corev1.ConfigMap), "StatefulSet": set, "Service": new(corev1.Service)}
	for reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var of struct{ Kind string }
		if err == nil {
			err = yaml.Unmarshal(document, &of)
		}
		into, known := kinds[of.Kind]
		if err != nil || !known {
			t.Fatalf("a %q: %v", of.Kind, err)
		}
		if err := yaml.UnmarshalStrict(document, into); err != nil {
			t.Errorf("the %s: %v", of.Kind, err)
		}
		delete(kinds, of.Kind)
	}
	if len(kinds) > 0 {
		t.Errorf("missing: %v", kinds)
	}
	return set
}
