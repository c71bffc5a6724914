package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"paceline/client"
)

// List what runs.
func Example() {
	c, err := client.New("") // $PACELINE_HOME or ~/.paceline
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	list, err := c.Instances(context.Background())
	if errors.Is(err, client.ErrNoDaemon) {
		fmt.Println("nothing runs")
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range list {
		fmt.Println(s.ID, s.Name, s.State, s.CPU, s.MemoryBytes)
	}
}

// Start an app of two instances that share a port, and reload it.
func ExampleClient_Start() {
	ctx := context.Background()
	c, err := client.New("")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	spec := client.Defaults()
	spec.Name, spec.Exec, spec.Cwd = "api", "/srv/api/server", "/srv/api"
	spec.Mode, spec.Instances = client.Cluster, 2
	spec.Env = map[string]string{"PORT": "3000"}
	if _, err := c.Start(ctx, spec); client.IsCode(err, client.CodeExists) {
		_, err = c.Reload(ctx, func(step string) { fmt.Println(step) }, "api")
		if err != nil {
			log.Fatal(err)
		}
	} else if err != nil {
		log.Fatal(err)
	}
}

// Follow what goes wrong, over any number of daemons.
func ExampleClient_Events() {
	ctx := context.Background()
	c, err := client.New("")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	q := client.EventsQuery{Types: []client.EventType{client.EventExit, client.EventOverlimit}, Follow: true}
	for {
		err := c.Events(ctx, q, func(e client.Event) error {
			q.After = e.Seq // where to go on
			fmt.Println(e.At, e.Name, e.Type, e.Detail)
			return nil
		})
		if err != nil && !errors.Is(err, client.ErrLost) {
			log.Fatal(err)
		}
	}
}

// Say why an app is as it is.
func ExampleClient_Why() {
	c, err := client.New("")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	list, err := c.Why(context.Background(), "api")
	if err != nil {
		log.Fatal(err)
	}
	for _, w := range list {
		fmt.Println(w.Summary)
		for _, step := range w.Next {
			fmt.Println(step.Text, step.Command)
		}
	}
}
