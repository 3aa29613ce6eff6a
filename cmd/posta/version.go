package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (c *cli) versionCommand() *cobra.Command {
	return c.leaf("version", "version", 0, false, func(*cobra.Command, []string) error {
		version, revision := "devel", ""
		if b, ok := debug.ReadBuildInfo(); ok {
			if b.Main.Version != "" && b.Main.Version != "(devel)" {
				version = b.Main.Version
			}
			for _, s := range b.Settings {
				if s.Key == "vcs.revision" {
					revision = s.Value
				}
			}
		}
		if c.json {
			return c.printJSON(map[string]string{"version": version, "revision": revision, "go": runtime.Version()})
		}
		fmt.Fprintf(c.out, "posta %s %s %s %s/%s\n", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return nil
	})
}
