// Package systemd speaks with the service manager that started the process, if
// it is systemd: it tells how the service is (sd_notify(3), the watchdog of
// systemd.service(5)) and takes the sockets that were opened for it
// (sd_listen_fds(3)). Elsewhere everything here does nothing.
//
// The functions look only at the environment that they are given, so that a test
// has one of its own:
//
//	n, err := systemd.NewNotifier(os.LookupEnv)
//	sockets, err := systemd.Sockets(os.LookupEnv, os.Getpid())
//
// Limits: the notification socket is a unix socket (by path or abstract), not
// vsock. Sockets are stream listeners. Neither file descriptors nor the state of
// a process are stored with the manager.
package systemd

// Environment looks a variable up, as os.LookupEnv does.
type Environment func(name string) (value string, ok bool)
