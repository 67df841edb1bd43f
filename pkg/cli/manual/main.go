package manual

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/version"
)

// Main is the whole program when a command is built with the tag manual: it writes to the directory that its only
// argument names and ends. The date comes from SOURCE_DATE_EPOCH, in seconds since 1970.
func Main(root *cobra.Command, see ...string) {
	if err := generate(root, os.Args[1:], os.Getenv("SOURCE_DATE_EPOCH"), see); err != nil {
		fmt.Fprintln(os.Stderr, "manual:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func generate(root *cobra.Command, args []string, epoch string, see []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: %s DIRECTORY", root.Name())
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return Write(root, args[0], Edition{Version: version.String(), Date: time.Unix(seconds, 0), See: see})
}
