// Package nodeipc speaks with Node processes over their IPC channel.
package nodeipc
