// Talks to a gateway with gophercloud, as its users do: every function of openstack/messaging/v2.
//
// Run by test_gophercloud.py. Finds Keystone by the OS_ variables, and the gateway in its catalog. Prints what
// it got as JSON; ends with 1 and a line of the program where something is refused that should not be.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/url"
	"os"
	"path"

	"github.com/gophercloud/gophercloud"
	"github.com/gophercloud/gophercloud/openstack"
	"github.com/gophercloud/gophercloud/openstack/identity/v3/tokens"
)

// What a part of the conversation got, by the name that the test knows it by.
type record map[string]any

func main() {
	log.SetFlags(log.Lshortfile)
	options := must(openstack.AuthOptionsFromEnv())
	options.AllowReauth = true
	provider := must(openstack.AuthenticatedClient(options))
	clientID := os.Getenv("OS_MESSAGE_CLIENT_ID")
	client := must(openstack.NewMessagingV2(provider, clientID, gophercloud.EndpointOpts{}))

	done := record{"endpoint": client.Endpoint}
	done["queues"] = talkOfQueues(client)
	done["messages"] = talkOfMessages(client)
	done["claims"] = talkOfClaims(client)
	done["authentication"] = loseToken(client)
	check(json.NewEncoder(os.Stdout).Encode(done))
}

// A token that is taken back before the gateway has seen it is answered 401: gophercloud gets another.
func loseToken(client *gophercloud.ServiceClient) record {
	provider := client.ProviderClient
	check(provider.Reauthenticate(provider.Token()))
	lost := provider.Token()
	identity := must(openstack.NewIdentityV3(provider, gophercloud.EndpointOpts{}))
	check(tokens.Revoke(identity, lost).Err)
	names := queueNames(client, 0)
	return record{"another": provider.Token() != lost, "left": names}
}

// check ends the program where there is an error.
func check(err error) {
	if err != nil {
		fail(err)
	}
}

// must is what a function returned that may not fail.
func must[T any](value T, err error) T {
	if err != nil {
		fail(err)
	}
	return value
}

func fail(err error) {
	_ = log.Output(3, err.Error())
	os.Exit(1)
}

// status is the number that gophercloud tells a refusal by.
func status(err error) int {
	switch refused := err.(type) {
	case gophercloud.ErrDefault400:
		return refused.Actual
	case gophercloud.ErrDefault403:
		return refused.Actual
	case gophercloud.ErrDefault404:
		return refused.Actual
	case gophercloud.ErrDefault409:
		return refused.Actual
	}
	fail(fmt.Errorf("not refused as it should be: %v", err))
	return 0
}

// last is the last part of a URL's path: the id of what it leads to.
func last(reference string) string {
	return path.Base(must(url.Parse(reference)).Path)
}

// query is a parameter of a URL's query.
func query(reference string, name string) string {
	return must(url.Parse(reference)).Query().Get(name)
}
