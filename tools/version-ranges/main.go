// version-ranges answers what Helm's library for versions says, so that a test can compare.
//
// Usage: version-ranges            reads lines of two JSON strings, `["RANGE", "VERSION"]`, and writes for each one of
//
//	in, out, no range, no version
//
//	version-ranges PROGRAM    writes the version of the library here and in PROGRAM, such as helm
package main

import (
	"bufio"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/Masterminds/semver/v3"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) > 1 {
		own, ok := debug.ReadBuildInfo()
		if !ok {
			return fmt.Errorf("built without module information")
		}
		other, err := buildinfo.ReadFile(os.Args[1])
		if err != nil {
			return err
		}
		fmt.Println(library(own))
		fmt.Println(library(other))
		return nil
	}
	lines := bufio.NewScanner(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	for lines.Scan() {
		var pair [2]string
		if err := json.Unmarshal(lines.Bytes(), &pair); err != nil {
			return err
		}
		fmt.Fprintln(out, answer(pair[0], pair[1]))
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return out.Flush()
}

func library(info *debug.BuildInfo) string {
	for _, module := range info.Deps {
		if module.Path == "github.com/Masterminds/semver/v3" {
			return module.Version
		}
	}
	return "none"
}

func answer(text, version string) string {
	parsed, err := semver.NewVersion(version)
	if err != nil {
		return "no version"
	}
	constraint, err := semver.NewConstraint(text)
	if err != nil {
		return "no range"
	}
	if constraint.Check(parsed) {
		return "in"
	}
	return "out"
}
