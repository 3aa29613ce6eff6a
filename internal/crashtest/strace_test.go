package crashtest

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// call is one system call that has ended.
type call struct {
	name string
	args []string // as strace writes them; texts are decoded
	ret  int64    // -1 if it failed
}

// traced are the calls that change files or names, and those that say which file a
// descriptor is.
const traced = "openat,open,creat,close,dup,dup2,dup3,fcntl,write,pwrite64,writev,pwritev,pwritev2," +
	"fsync,fdatasync,sync_file_range,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir," +
	"ftruncate,truncate,fallocate,link,linkat,symlinkat,copy_file_range,sendfile"

// straceCommand stands before the command that is recorded.
func straceCommand(strace, file string) []string {
	return []string{strace, "-f", "-qq", "--seccomp-bpf", "-e", "trace=" + traced, "-e", "signal=none", "-xx", "-s", "33554432", "-o", file}
}

// readTrace reads what strace wrote. A call that another thread interrupts in the
// text counts when it ends, save close: its number is free when it begins.
func readTrace(file string) ([]call, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 256<<20)
	var out []call
	begun := map[string]string{} // thread → the text so far
	for in.Scan() {
		thread, text, ok := strings.Cut(in.Text(), " ")
		text = strings.TrimLeft(text, " ")
		switch {
		case !ok || strings.HasPrefix(text, "+++") || strings.HasPrefix(text, "---") || strings.HasSuffix(text, "<detached ...>"):
			continue // the end of a thread, a signal
		case strings.HasSuffix(text, "<unfinished ...>"):
			text = strings.TrimSuffix(text, "<unfinished ...>")
			if !strings.HasPrefix(text, "close(") {
				begun[thread] = text
				continue
			}
			text += ") = 0"
		case strings.HasPrefix(text, "<... close resumed>"):
			continue
		case strings.HasPrefix(text, "<... "):
			_, rest, _ := strings.Cut(text, " resumed>")
			text = begun[thread] + rest
			delete(begun, thread)
		}
		c, err := parseCall(text)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, in.Err()
}

// callText is name(args) = result; what stands in quotes is hexadecimal, so that
// no comma or parenthesis is in it.
var callText = regexp.MustCompile(`^(\w+)\((.*)\)\s+= (-?\d+|\?|0x[0-9a-f]+)`)

func parseCall(text string) (call, error) {
	m := callText.FindStringSubmatch(text)
	if m == nil {
		return call{}, fmt.Errorf("not a call: %.200q", text)
	}
	c := call{name: m[1]}
	c.ret, _ = strconv.ParseInt(m[3], 0, 64) // "?": it never ended
	if m[3] == "?" {
		c.ret = -1
	}
	for a := range strings.SplitSeq(m[2], ", ") {
		if strings.HasSuffix(a, "...") {
			return call{}, fmt.Errorf("strace has cut a text: %.100q", text)
		}
		if body, ok := strings.CutPrefix(a, `"`); ok {
			b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSuffix(body, `"`), `\x`, ""))
			if err != nil {
				return call{}, fmt.Errorf("%.100q: %w", a, err)
			}
			a = string(b)
		}
		c.args = append(c.args, a)
	}
	return c, nil
}

// number is an argument that is one.
func (c call) number(i int) int64 {
	if i >= len(c.args) {
		return -1
	}
	n, err := strconv.ParseInt(strings.TrimSpace(c.args[i]), 0, 64)
	if err != nil {
		return -1
	}
	return n
}
