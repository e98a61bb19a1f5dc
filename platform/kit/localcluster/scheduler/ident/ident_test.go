package ident

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
)

func TestForms(t *testing.T) {
	n := Namer{Account: "000000000000", Region: "us-east-1", Random: rand.NewChaCha8([32]byte{1})}
	for range 1000 {
		for form, got := range map[string]string{
			`^[0-9a-f]{32}$`:      n.Task(),
			`^[1-9][0-9]{18}$`:    n.Number(),
			`^[A-Za-z0-9_-]{21}$`: n.ServiceDeployment(),
			`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`: n.UUID(),
		} {
			if !regexp.MustCompile(form).MatchString(got) {
				t.Fatalf("%q does not match %s", got, form)
			}
		}
	}
}

func TestResource(t *testing.T) {
	n := Namer{Account: "000000000000", Region: "us-east-1"}
	kind, parts, ok := Resource(n.ARN("task/c/id"))
	if kind != "task" || !slices.Equal(parts, []string{"c", "id"}) || !ok {
		t.Errorf("Resource = %s %v %v", kind, parts, ok)
	}
	for _, arn := range []string{"", "id", "arn:aws:ecs:r:a:task", "arn:aws:s3:r:a:task/x"} {
		if _, _, ok := Resource(arn); ok {
			t.Errorf("%q is taken for a resource of ECS", arn)
		}
	}
}
