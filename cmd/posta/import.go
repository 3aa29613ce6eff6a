package main

import "github.com/spf13/cobra"

// importCommand brings in what other systems have.
func (c *cli) importCommand() *cobra.Command { return c.group("import", "import", c.importMail()...) }

// exportCommand writes out what is here, in forms that others read.
func (c *cli) exportCommand() *cobra.Command { return c.group("export", "export", c.exportMail()...) }
