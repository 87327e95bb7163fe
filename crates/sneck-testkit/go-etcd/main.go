// Takes locks with etcd's own library on behalf of a bench that speaks to it over standard input and output.
//
// Arguments: the server's address, the time to live of leases in seconds. Of the language of `peer.rs` it
// understands `cycle`, `many`, `crowd` and `exit`. `contend PATH SESSIONS N` is answered `contend PATH` when so
// many sessions have each locked N times.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

var saying sync.Mutex

// One whole line at a time, from whichever goroutine.
func say(words ...string) {
	saying.Lock()
	defer saying.Unlock()
	fmt.Println(strings.Join(words, " "))
}

// Locks and unlocks, and says how long each took.
func cycle(lock *concurrency.Mutex, times int) ([]time.Duration, error) {
	ctx := context.Background()
	took := make([]time.Duration, 0, times)
	for i := 0; i < times; i++ {
		began := time.Now()
		if err := lock.Lock(ctx); err != nil {
			return nil, err
		}
		if err := lock.Unlock(ctx); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// Each on a goroutine of its own.
func together(locks []*concurrency.Mutex, times int) error {
	failures := make(chan error, len(locks))
	for _, lock := range locks {
		go func(lock *concurrency.Mutex) {
			_, err := cycle(lock, times)
			failures <- err
		}(lock)
	}
	var first error
	for range locks {
		if err := <-failures; err != nil && first == nil {
			first = err
		}
	}
	return first
}

type peer struct {
	client *clientv3.Client
	ttl    int
	// The first does all but standing in line with others. etcd tells those in line apart by their sessions, so
	// that one session is in each line once.
	sessions []*concurrency.Session
}

func (p *peer) open(sessions int) error {
	for len(p.sessions) < sessions {
		session, err := concurrency.NewSession(p.client, concurrency.WithTTL(p.ttl))
		if err != nil {
			return err
		}
		p.sessions = append(p.sessions, session)
	}
	return nil
}

func (p *peer) contend(path string, sessions, times int) error {
	if err := p.open(sessions); err != nil {
		return err
	}
	locks := make([]*concurrency.Mutex, sessions)
	for at := range locks {
		locks[at] = concurrency.NewMutex(p.sessions[at], path)
	}
	return together(locks, times)
}

func (p *peer) many(path string, tasks, times int) error {
	locks := make([]*concurrency.Mutex, tasks)
	for at := range locks {
		locks[at] = concurrency.NewMutex(p.sessions[0], path+"/"+strconv.Itoa(at))
	}
	return together(locks, times)
}

// Carries out one command, and says what is to be answered beside its verb and path.
func (p *peer) carryOut(words []string) ([]string, error) {
	verb, path := words[0], words[1]
	numbers := make([]int, 0, 2)
	for _, word := range words[2:] {
		number, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, number)
	}
	switch {
	case verb == "cycle" && len(numbers) == 1:
		took, err := cycle(concurrency.NewMutex(p.sessions[0], path), numbers[0])
		if err != nil {
			return nil, err
		}
		sort.Slice(took, func(a, b int) bool { return took[a] < took[b] })
		return []string{"cycled", path, strconv.FormatInt(took[len(took)/2].Nanoseconds(), 10)}, nil
	case verb == "many" && len(numbers) == 2:
		return words[:2], p.many(path, numbers[0], numbers[1])
	case (verb == "contend" || verb == "crowd") && len(numbers) == 2:
		return words[:2], p.contend(path, numbers[0], numbers[1])
	}
	return nil, fmt.Errorf("unknown command %s", strings.Join(words, " "))
}

func main() {
	ttl, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   []string{os.Args[1]},
		DialTimeout: 30 * time.Second,
	})
	if err != nil {
		panic(err)
	}
	p := &peer{client: client, ttl: ttl}
	if err := p.open(1); err != nil {
		panic(err)
	}
	say("state CONNECTED")
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		words := strings.Fields(commands.Text())
		if words[0] == "exit" {
			client.Close()
			say("bye")
			os.Exit(0)
		}
		answer, err := p.carryOut(words)
		if err != nil {
			answer = []string{"error", words[1], err.Error()}
		}
		say(answer...)
	}
	// The bench is gone without a word. So is this: its sessions are left to expire.
	os.Exit(1)
}
