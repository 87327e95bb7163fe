// Takes locks with go-zookeeper on behalf of a test that speaks to it over standard input and output.
//
// Arguments: servers, session timeout in milliseconds. Of the language of `peer.rs` it understands `lock`,
// `release`, `count` and `exit`.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

var saying sync.Mutex

// One whole line at a time, from whichever goroutine.
func say(words ...string) {
	saying.Lock()
	defer saying.Unlock()
	fmt.Println(strings.Join(words, " "))
}

func count(lock *zk.Lock, file string, times int) error {
	for i := 0; i < times; i++ {
		if err := lock.Lock(); err != nil {
			return err
		}
		if err := addOne(file); err != nil {
			return err
		}
		if err := lock.Unlock(); err != nil {
			return err
		}
	}
	return nil
}

func addOne(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(strconv.Itoa(number+1)), 0o600)
}

// How often a lock is given back whose server does not answer, and how long is waited in between. A place that is
// left stays for as long as its session does.
const releases = 40

var pause = 250 * time.Millisecond

func release(lock *zk.Lock) error {
	for i := 1; ; i++ {
		err := lock.Unlock()
		if err == zk.ErrNoNode && i > 1 {
			// The answer to the one before was lost.
			return nil
		}
		if err == nil || err == zk.ErrNotLocked || err == zk.ErrNoNode || i == releases {
			return err
		}
		time.Sleep(pause)
	}
}

// Carries out one command and says what came of it.
func carryOut(lock *zk.Lock, words []string) {
	path := words[1]
	var err error
	answer := []string{"held", path}
	switch words[0] {
	case "lock":
		err = lock.Lock()
	case "release":
		err = release(lock)
		answer[0] = "free"
	case "count":
		var times int
		if times, err = strconv.Atoi(words[3]); err == nil {
			err = count(lock, words[2], times)
		}
		answer = []string{"counted", path, words[3]}
	default:
		err = fmt.Errorf("unknown command %s", words[0])
	}
	if err != nil {
		answer = []string{"error", path, err.Error()}
	}
	say(answer...)
}

func main() {
	timeout, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	session := time.Duration(timeout) * time.Millisecond
	conn, events, err := zk.Connect(strings.Split(os.Args[1], ","), session)
	if err != nil {
		panic(err)
	}
	go func() {
		for event := range events {
			if event.State == zk.StateHasSession {
				say("state CONNECTED")
			}
		}
	}()
	locks := map[string]*zk.Lock{}
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		words := strings.Fields(commands.Text())
		if words[0] == "exit" {
			conn.Close()
			say("bye")
			os.Exit(0)
		}
		// One that could not be given back, as its session was over, would refuse to be taken ever again.
		if words[0] == "lock" || locks[words[1]] == nil {
			locks[words[1]] = zk.NewLock(conn, words[1], zk.WorldACL(zk.PermAll))
		}
		go carryOut(locks[words[1]], words)
	}
	// The test is gone without a word. So is this: its session is left to expire.
	os.Exit(1)
}
