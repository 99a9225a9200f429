// Package inspect words what is known of a container or an image as docker inspect does, for scripts that read it. It finds out
// nothing: what it words is handed in. Of the environment of a container it says what the image says, and no more: values that
// were given to it are for its command only.
package inspect
