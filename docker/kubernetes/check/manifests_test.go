// Package check builds the manifests for Kubernetes as `kubectl kustomize` does, and reads every document strictly by the types
// of Kubernetes. It is a module of its own, so that the product does not depend on those: make check-manifests.
package check

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// documented are the keys of the Secret `portico`, which docs/scale.md lets the operator make from files.
var documented = []string{"database_url", "database_ca", "secret_key", "smtp_url", "flower_basic_auth", "storage_key", "redis_url"}

// manifests is what a kustomization builds.
type manifests struct {
	objects []runtime.Object
}

// workload is a Deployment or a Job.
type workload struct {
	name     string
	selector *metav1.LabelSelector // nil: a Job
	pods     corev1.PodTemplateSpec
}

// strict reads what Kubernetes knows, of the groups that are used here.
func strict() runtime.Decoder {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, autoscalingv2.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		utilruntime.Must(add(known))
	}
	return json.NewSerializerWithOptions(json.DefaultMetaFactory, known, known, json.SerializerOptions{Yaml: true, Strict: true})
}

// build builds a kustomization and decodes it: an unknown or doubled field, and a kind that Kubernetes does not know, fail.
func build(t *testing.T, folder string) *manifests {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatal(err)
	}
	decoder := strict()
	var m manifests
	for _, resource := range built.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			t.Errorf("%v in\n%s", err, text)
			continue
		}
		m.objects = append(m.objects, object)
	}
	return &m
}

// all are the objects of one type.
func all[T runtime.Object](m *manifests) (found []T) {
	for _, object := range m.objects {
		if typed, ok := object.(T); ok {
			found = append(found, typed)
		}
	}
	return found
}

func (m *manifests) workloads() (found []workload) {
	for _, d := range all[*appsv1.Deployment](m) {
		found = append(found, workload{d.Name, d.Spec.Selector, d.Spec.Template})
	}
	for _, j := range all[*batchv1.Job](m) {
		found = append(found, workload{j.Name, nil, j.Spec.Template})
	}
	return found
}

// selected are the names of the workloads whose pods a selector finds.
func (m *manifests) selected(t *testing.T, selector *metav1.LabelSelector) (names []string) {
	t.Helper()
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range m.workloads() {
		if parsed.Matches(labels.Set(w.pods.Labels)) {
			names = append(names, w.name)
		}
	}
	return names
}

func production(t *testing.T) *manifests {
	t.Helper()
	m := build(t, "../overlays/production")
	if found := len(m.workloads()); found != 4 {
		t.Fatalf("%d workloads, want proxy, app, worker and migrate", found)
	}
	return m
}

func TestTheBaseBuildsByItself(t *testing.T) {
	t.Parallel()
	build(t, "../base")
}

// A field with a typing error must not go unnoticed.
func TestAnUnknownFieldIsAnError(t *testing.T) {
	t.Parallel()
	if _, _, err := strict().Decode([]byte("apiVersion: apps/v1\nkind: Deployment\nspec: {replica: 2}\n"), nil, nil); err == nil {
		t.Error("replica was taken for a field of a Deployment")
	}
}

func TestEveryImageIsNamedByDigest(t *testing.T) {
	t.Parallel()
	byDigest := regexp.MustCompile(`^[^:@]+@sha256:[0-9a-f]{64}$`)
	for _, w := range production(t).workloads() {
		for _, c := range w.pods.Spec.Containers {
			if !byDigest.MatchString(c.Image) {
				t.Errorf("%s: image %s", w.name, c.Image)
			}
		}
	}
}

// What Pod Security's level `restricted` asks for, and a root that cannot be written.
func TestContainersHaveNoRights(t *testing.T) {
	t.Parallel()
	for _, w := range production(t).workloads() {
		spec := w.pods.Spec
		if pod := spec.SecurityContext; pod == nil || pod.RunAsNonRoot == nil || !*pod.RunAsNonRoot || pod.RunAsUser == nil || *pod.RunAsUser == 0 ||
			pod.SeccompProfile == nil || pod.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: the pod's securityContext is %v", w.name, pod)
		}
		if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
			t.Errorf("%s gets a token of the API", w.name)
		}
		if spec.HostNetwork || spec.HostPID || spec.HostIPC {
			t.Errorf("%s shares something of its node", w.name)
		}
		for _, c := range spec.Containers {
			rights := c.SecurityContext
			if rights == nil || rights.ReadOnlyRootFilesystem == nil || !*rights.ReadOnlyRootFilesystem || rights.AllowPrivilegeEscalation == nil || *rights.AllowPrivilegeEscalation ||
				rights.Capabilities == nil || !slices.Equal(rights.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(rights.Capabilities.Add) > 0 {
				t.Errorf("%s: the container's securityContext is %v", w.name, rights)
			}
		}
	}
}

func TestResourcesAreSet(t *testing.T) {
	t.Parallel()
	for _, w := range production(t).workloads() {
		for _, c := range w.pods.Spec.Containers {
			if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
				t.Errorf("%s: resources are %v", w.name, c.Resources)
			}
		}
	}
}

func TestDeploymentsAreProbedOnPortsThatThereAre(t *testing.T) {
	t.Parallel()
	for _, d := range all[*appsv1.Deployment](production(t)) {
		for _, c := range d.Spec.Template.Spec.Containers {
			for kind, probe := range map[string]*corev1.Probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
				if probe == nil || probe.HTTPGet == nil || !slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == probe.HTTPGet.Port.StrVal }) {
					t.Errorf("%s: the %s probe is %v", d.Name, kind, probe)
				}
			}
		}
	}
}

// Requests and jobs in flight get 30 s from the program, after what comes before them.
func TestPodsAreGivenTheTimeToStop(t *testing.T) {
	t.Parallel()
	const inFlight = 30
	drainDelay := map[string]int64{"proxy": 15} // limits.drain_delay of base/proxy.yaml
	for _, d := range all[*appsv1.Deployment](production(t)) {
		spec := d.Spec.Template.Spec
		needed := inFlight + drainDelay[d.Name]
		for _, c := range spec.Containers {
			if c.Lifecycle != nil && c.Lifecycle.PreStop != nil && c.Lifecycle.PreStop.Sleep != nil {
				needed += c.Lifecycle.PreStop.Sleep.Seconds
			}
		}
		var given int64
		if spec.TerminationGracePeriodSeconds != nil {
			given = *spec.TerminationGracePeriodSeconds
		}
		if given <= needed {
			t.Errorf("%s: terminationGracePeriodSeconds is %d, want more than %d", d.Name, given, needed)
		}
	}
}

func TestSelectorsFindWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	m := production(t)
	for _, d := range all[*appsv1.Deployment](m) {
		if found := m.selected(t, d.Spec.Selector); !slices.Equal(found, []string{d.Name}) {
			t.Errorf("the Deployment %s selects the pods of %v", d.Name, found)
		}
		for _, spread := range d.Spec.Template.Spec.TopologySpreadConstraints {
			if found := m.selected(t, spread.LabelSelector); !slices.Equal(found, []string{d.Name}) {
				t.Errorf("%s is spread over %s by the pods of %v", d.Name, spread.TopologyKey, found)
			}
		}
		if len(d.Spec.Template.Spec.TopologySpreadConstraints) == 0 {
			t.Errorf("%s is not spread", d.Name)
		}
	}
	for _, s := range all[*corev1.Service](m) {
		if found := m.selected(t, &metav1.LabelSelector{MatchLabels: s.Spec.Selector}); !slices.Equal(found, []string{s.Name}) {
			t.Errorf("the Service %s selects the pods of %v", s.Name, found)
		}
		for _, port := range s.Spec.Ports {
			if !m.hasPort(s.Name, port.TargetPort.StrVal) {
				t.Errorf("the Service %s leads to the port %s, which is none", s.Name, port.TargetPort.String())
			}
		}
	}
	for _, b := range all[*policyv1.PodDisruptionBudget](m) {
		if found := m.selected(t, b.Spec.Selector); !slices.Equal(found, []string{b.Name}) {
			t.Errorf("the PodDisruptionBudget %s selects the pods of %v", b.Name, found)
		}
	}
	if budgets := len(all[*policyv1.PodDisruptionBudget](m)); budgets != 3 {
		t.Errorf("%d disruption budgets, want one a Deployment", budgets)
	}
	scalers := all[*autoscalingv2.HorizontalPodAutoscaler](m)
	if len(scalers) != 1 || scalers[0].Spec.ScaleTargetRef.Name != "app" || scalers[0].Spec.ScaleTargetRef.Kind != "Deployment" {
		t.Errorf("the autoscalers are %v, want one of app", scalers)
	}
	for _, d := range all[*appsv1.Deployment](m) {
		if d.Name == "app" && d.Spec.Replicas != nil {
			t.Error("the Deployment app names replicas, which its autoscaler chooses")
		}
	}
}

// The edge leads from HTTP to HTTPS by the port that it listens on itself: one that a Service maps would be told to people.
func TestTheEdgeListensOnThePortsThatPeopleReach(t *testing.T) {
	t.Parallel()
	m := production(t)
	var config struct{ Listen map[string]any }
	for _, c := range all[*corev1.ConfigMap](m) {
		if text, ok := c.Data["proxy.yaml"]; ok {
			if err := yaml.Unmarshal([]byte(text), &config); err != nil {
				t.Fatal(err)
			}
		}
	}
	reached := map[string]int32{}
	for _, s := range all[*corev1.Service](m) {
		if s.Name == "proxy" {
			for _, port := range s.Spec.Ports {
				reached[port.TargetPort.StrVal] = port.Port
			}
		}
	}
	if len(reached) != 2 {
		t.Fatalf("the Service proxy leads to %v, want http and https", reached)
	}
	for _, d := range all[*appsv1.Deployment](m) {
		if d.Name != "proxy" {
			continue
		}
		for name, port := range reached {
			if want := fmt.Sprintf(":%d", port); config.Listen[name] != want {
				t.Errorf("listen.%s of proxy.yaml is %v, where people reach %s", name, config.Listen[name], want)
			}
			if !slices.ContainsFunc(d.Spec.Template.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == name && p.ContainerPort == port }) {
				t.Errorf("the port %s of the container is not %d", name, port)
			}
		}
		if !slices.Contains(d.Spec.Template.Spec.SecurityContext.Sysctls, corev1.Sysctl{Name: "net.ipv4.ip_unprivileged_port_start", Value: "80"}) {
			t.Error("the edge is not root and may not listen below 1024")
		}
	}
}

func (m *manifests) hasPort(name, port string) bool {
	return slices.ContainsFunc(m.workloads(), func(w workload) bool {
		return w.name == name && slices.ContainsFunc(w.pods.Spec.Containers, func(c corev1.Container) bool {
			return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == port })
		})
	})
}

func TestWhatIsReferredToIsThereOrDocumented(t *testing.T) {
	t.Parallel()
	m := production(t)
	maps := map[string][]string{}
	for _, c := range all[*corev1.ConfigMap](m) {
		for key := range c.Data {
			maps[c.Name] = append(maps[c.Name], key)
		}
	}
	accounts := map[string]bool{}
	for _, a := range all[*corev1.ServiceAccount](m) {
		accounts[a.Name] = true
	}
	secret := func(workload, name string, keys ...string) {
		if name != "portico" {
			t.Errorf("%s wants the Secret %s, which nobody makes", workload, name)
		}
		for _, key := range keys {
			if !slices.Contains(documented, key) {
				t.Errorf("%s wants %s of the Secret, which is not documented", workload, key)
			}
		}
	}
	for _, w := range m.workloads() {
		if !accounts[w.pods.Spec.ServiceAccountName] {
			t.Errorf("%s: no ServiceAccount %s", w.name, w.pods.Spec.ServiceAccountName)
		}
		volumes := map[string]bool{}
		for _, v := range w.pods.Spec.Volumes {
			volumes[v.Name] = true
			if v.ConfigMap != nil && maps[v.ConfigMap.Name] == nil {
				t.Errorf("%s: no ConfigMap %s", w.name, v.ConfigMap.Name)
			}
			if v.Secret != nil {
				secret(w.name, v.Secret.SecretName)
				for _, item := range v.Secret.Items {
					secret(w.name, v.Secret.SecretName, item.Key)
				}
			}
		}
		for _, c := range w.pods.Spec.Containers {
			for _, mount := range c.VolumeMounts {
				if !volumes[mount.Name] {
					t.Errorf("%s mounts %s, which is no volume", w.name, mount.Name)
				}
			}
			for _, from := range c.EnvFrom {
				if from.ConfigMapRef == nil || maps[from.ConfigMapRef.Name] == nil {
					t.Errorf("%s: no ConfigMap for envFrom %v", w.name, from)
				}
			}
			for _, variable := range c.Env {
				if variable.ValueFrom != nil && variable.ValueFrom.SecretKeyRef != nil {
					secret(w.name, variable.ValueFrom.SecretKeyRef.Name, variable.ValueFrom.SecretKeyRef.Key)
				}
			}
		}
	}
	for name, keys := range maps {
		for _, setting := range all[*corev1.ConfigMap](m) {
			if setting.Name != name || !strings.HasPrefix(name, "portico") {
				continue
			}
			for _, key := range keys {
				if file, ok := strings.CutPrefix(setting.Data[key], "/run/secrets/"); ok {
					secret(key, "portico", file)
				}
			}
		}
	}
}

func TestNobodyReachesAnybodyWithoutAPolicy(t *testing.T) {
	t.Parallel()
	m := production(t)
	policies := all[*networkingv1.NetworkPolicy](m)
	byName := map[string]*networkingv1.NetworkPolicy{}
	for _, p := range policies {
		byName[p.Name] = p
	}
	deny := byName["deny"]
	if deny == nil || len(deny.Spec.PodSelector.MatchLabels) > 0 || len(deny.Spec.Ingress)+len(deny.Spec.Egress) > 0 ||
		!slices.Equal(deny.Spec.PolicyTypes, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}) {
		t.Fatalf("the policy deny is %v", deny)
	}
	for _, w := range m.workloads() {
		own := byName[w.name]
		if own == nil {
			t.Errorf("%s has no policy", w.name)
			continue
		}
		if found := m.selected(t, &own.Spec.PodSelector); !slices.Equal(found, []string{w.name}) {
			t.Errorf("the policy %s is about %v", w.name, found)
		}
		for _, in := range own.Spec.Ingress {
			if w.name == "proxy" {
				continue
			}
			if len(in.From) != 1 || in.From[0].PodSelector == nil || !slices.Equal(m.selected(t, in.From[0].PodSelector), []string{"proxy"}) {
				t.Errorf("%s is reached from %v, want the edges alone", w.name, in.From)
			}
		}
		for _, in := range own.Spec.Ingress {
			for _, port := range in.Ports {
				if !m.hasPort(w.name, port.Port.StrVal) || port.Port.StrVal == "internal" {
					t.Errorf("%s lets in at %s", w.name, port.Port.String())
				}
			}
		}
	}
}

func TestEverythingIsInTheNamespace(t *testing.T) {
	t.Parallel()
	for _, object := range production(t).objects {
		if _, ok := object.(*corev1.Namespace); ok {
			continue
		}
		if named, ok := object.(metav1.Object); !ok || named.GetNamespace() != "portico" {
			t.Errorf("%T %v is outside", object, object)
		}
	}
}
