package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"
	"golang.org/x/sync/singleflight"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/ferry"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/lifecycle"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/rootfs"
)

const (
	// socketsFolder holds one folder a task, with the sockets of its ferry.
	socketsFolder = "sockets"
	// ferryUser runs the ferry when the cluster is root.
	ferryUser = 65532
	// ferryMemory is plenty: connections are spliced by the kernel.
	ferryMemory = 128 * mebibyte
	// ferryLimit is how long a ferry may take to arrive.
	ferryLimit = 20 * time.Second
	// removeLimit bounds the cleaning up after a container.
	removeLimit = 20 * time.Second
	// keepImages is how many images that no task uses stay in the engine.
	keepImages = 8
)

// place is what a task's containers share.
type place struct {
	dir       string
	container string // the ferry's id
	outside   *ferry.Outside
}

// driver starts containers in the engine.
type driver struct {
	cfg     Config
	ferry   string // the id of its image
	callers callers
	inUse   func() map[string]bool
	flight  singleflight.Group

	mu     sync.Mutex
	open   map[string]*place // by task id
	images []image           // those used last at the end
}

// Pull has the engine fetch the image, and drops old ones.
func (d *driver) Pull(ctx context.Context, ref string) (rootfs.Image, error) {
	// The work is shared, so that it must not end with whoever came first.
	shared := d.flight.DoChan(ref, func() (any, error) {
		return d.cfg.Engine.fetch(context.WithoutCancel(ctx), ref, d.cfg.Login)
	})
	var res singleflight.Result
	select {
	case <-ctx.Done():
		return rootfs.Image{}, fmt.Errorf("CannotPullContainerError: %w", ctx.Err())
	case res = <-shared:
	}
	if res.Err != nil {
		return rootfs.Image{}, res.Err
	}
	img, _ := res.Val.(image) // fetch returns nothing else
	d.mu.Lock()
	d.images = append(slices.DeleteFunc(d.images, func(i image) bool { return i.Digest == img.Digest }), img)
	d.mu.Unlock()
	return img.Image, nil
}

// prune removes images that no task uses, but for those that were used last.
func (d *driver) prune(ctx context.Context) {
	used := d.inUse()
	d.mu.Lock()
	var idle []image
	for _, img := range d.images {
		if !used[img.Digest] {
			idle = append(idle, img)
		}
	}
	idle = idle[:max(0, len(idle)-keepImages)]
	d.images = slices.DeleteFunc(d.images, func(img image) bool {
		return slices.ContainsFunc(idle, func(i image) bool { return i.Digest == img.Digest })
	})
	d.mu.Unlock()
	for _, img := range idle {
		if _, err := d.cfg.Engine.api.ImageRemove(ctx, img.name, client.ImageRemoveOptions{PruneChildren: true}); err != nil && !errdefs.IsNotFound(err) {
			d.cfg.Logger.WarnContext(ctx, "image not removed", "image", img.name, "error", err)
		}
	}
}

// Open makes the task's network namespace, with the ferry in it.
func (d *driver) Open(ctx context.Context, t *lifecycle.Task) error {
	d.prune(ctx)
	p := &place{dir: filepath.Join(d.cfg.Dir, socketsFolder, t.Spec().ID)}
	d.mu.Lock()
	d.open[t.Spec().ID] = p
	d.mu.Unlock()
	if err := d.board(ctx, t, p); err != nil {
		return fmt.Errorf("ResourceInitializationError: make the task's network: %w", err)
	}
	return nil
}

// board starts the ferry and waits until it carries.
func (d *driver) board(ctx context.Context, t *lifecycle.Task, p *place) (err error) {
	user, owner := strconv.Itoa(os.Getuid())+":"+strconv.Itoa(os.Getgid()), -1
	switch {
	case d.cfg.Engine.rootless:
		user = "0:0" // which is this user outside
	case os.Geteuid() == 0:
		user, owner = fmt.Sprintf("%d:%d", ferryUser, ferryUser), ferryUser
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	if owner >= 0 {
		if err := os.Chown(p.dir, owner, owner); err != nil {
			return err
		}
	}
	ways := d.cfg.Ways(aws.ToString(t.Spec().Definition.Family))
	p.outside, err = ferry.Open(ferry.Config{
		Dir: p.dir, User: owner, Ports: ways, Dialed: d.noting(t), Clock: d.cfg.Clock,
	})
	if err != nil {
		return err
	}
	if p.container, err = d.launch(ctx, t, p.dir, user, ways); err != nil {
		return err
	}
	return d.arrival(ctx, p)
}

// launch starts the ferry's container.
func (d *driver) launch(ctx context.Context, t *lifecycle.Task, dir, user string, ways []int) (string, error) {
	host := harden(container.Resources{Memory: ferryMemory, MemorySwap: ferryMemory, PidsLimit: aws.Int64(pidsLimit)})
	host.NetworkMode, host.ReadonlyRootfs = "none", true
	host.SecurityOpt = append(host.SecurityOpt, "label=disable") // SELinux keeps containers from sockets
	host.Mounts = []mount.Mount{{Type: mount.TypeBind, Source: dir, Target: "/run/ferry"}}
	ports := make([]string, 0, len(ways))
	for _, port := range ways {
		ports = append(ports, strconv.Itoa(port))
	}
	made, err := d.cfg.Engine.api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: engineName(t.Spec(), "ferry"), HostConfig: host,
		Config: &container.Config{
			Image: d.ferry, User: user, Cmd: []string{"-ports", strings.Join(ports, ",")},
			Labels: labels(d.cfg.Dir, t.Spec().ID, "ferry"), Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		},
	})
	if err != nil {
		return "", err
	}
	_, err = d.cfg.Engine.api.ContainerStart(ctx, made.ID, client.ContainerStartOptions{})
	return made.ID, err
}

// arrival waits for the ferry's inner end.
func (d *driver) arrival(ctx context.Context, p *place) error {
	limit := d.cfg.Clock.NewTimer(ferryLimit)
	defer limit.Stop()
	waiting, cancel := context.WithCancel(ctx)
	waited := d.cfg.Engine.api.ContainerWait(waiting, p.container, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	ended := make(chan string, 1)
	go func() { // the client waits until it is heard
		select {
		case r := <-waited.Result:
			ended <- fmt.Sprintf("it ended with %d", r.StatusCode)
		case err := <-waited.Error:
			ended <- err.Error()
		}
	}()
	defer cancel()
	select {
	case <-p.outside.Ready():
		return nil
	case how := <-ended:
		return fmt.Errorf("the ferry did not arrive: %s: %s", how, d.cfg.Engine.lastLines(ctx, p.container))
	case <-limit.Chan():
		return fmt.Errorf("the ferry did not arrive within %s", ferryLimit)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Start starts a container in the task's network namespace.
func (d *driver) Start(ctx context.Context, c *lifecycle.Container) (lifecycle.Instance, error) {
	if len(c.Argv()) == 0 {
		return nil, errors.New("CannotStartContainerError: image has neither an entry point nor a command: no command specified")
	}
	d.mu.Lock()
	p := d.open[c.Task().Spec().ID]
	at := slices.IndexFunc(d.images, func(i image) bool { return i.Digest == c.Image().Digest })
	if at < 0 {
		d.mu.Unlock()
		return nil, errors.New("CannotCreateContainerError: its image is gone")
	}
	img := d.images[at]
	d.mu.Unlock()
	options, err := describe(c, d.cfg.Dir, img.id, p.container, d.cfg.Environment)
	if err != nil {
		return nil, err
	}
	made, err := d.cfg.Engine.api.ContainerCreate(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("CannotCreateContainerError: %w", err)
	}
	i := newInstance(d, c, made.ID)
	if _, err := d.cfg.Engine.api.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		d.remove(made.ID)
		return nil, fmt.Errorf("CannotStartContainerError: %w", err)
	}
	for _, port := range c.Ports() {
		i.ways = append(i.ways, p.outside.Lead(int(port.HostPort), int(port.ContainerPort), func(err error) {
			d.cfg.Logger.WarnContext(ctx, "a container cannot be reached", "container", made.ID, "error", err)
		}))
	}
	i.begin()
	return i, nil
}

// remove removes a container, running or not.
func (d *driver) remove(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), removeLimit)
	defer cancel()
	_, err := d.cfg.Engine.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		d.cfg.Logger.Warn("container not removed", "container", id, "error", err) // Sweep finds it by its label
	}
}

// Close removes the task's network namespace.
func (d *driver) Close(t *lifecycle.Task) {
	d.mu.Lock()
	p := d.open[t.Spec().ID]
	delete(d.open, t.Spec().ID)
	d.mu.Unlock()
	if p == nil {
		return
	}
	if p.outside != nil {
		p.outside.Close()
	}
	if p.container != "" {
		d.remove(p.container)
	}
	if err := os.RemoveAll(p.dir); err != nil {
		d.cfg.Logger.Warn("folder of sockets not removed", "task", t.Spec().ID, "error", err)
	}
}

// noting tells callers of the task's connections.
func (d *driver) noting(t *lifecycle.Task) func(net.Addr) func() {
	return func(own net.Addr) func() { return d.callers.note(own, t) }
}
