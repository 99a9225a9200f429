// Package testjobs builds the images of the project, and starts them as the runners of CI systems start the image of a job: by
// the files in examples/ci, with the users, mounts, shells and entry points that each runner is known to use, in a Docker
// Engine that has nothing but its defaults.
//
// It imports nothing of gbuild but what makes bases, servers and images for tests.
package testjobs
