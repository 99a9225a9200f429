// This file owns what is known of npm, the package manager of Node.js.

package installer

// Npm is the package manager of Node.js.
const Npm Tool = "npm"

var npmCache = Cache{Variable: "npm_config_cache", Manage: []string{"cache"}, Places: []string{".npm", "npm"}}

var npmPrograms = map[string]Program{"npm": {Fetch: []string{"install", "i", "ci", "add", "clean-install", "update"}}}
