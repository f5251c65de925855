package main

import (
	"github.com/gophercloud/gophercloud"
	"github.com/gophercloud/gophercloud/openstack/messaging/v2/claims"
	"github.com/gophercloud/gophercloud/openstack/messaging/v2/messages"
	"github.com/gophercloud/gophercloud/openstack/messaging/v2/queues"
)

// Every function of openstack/messaging/v2/claims, and messages as a claim holds them.
func talkOfClaims(client *gophercloud.ServiceClient) record {
	got := record{}
	none := claims.Create(client, "letters", claims.CreateOpts{TTL: 100, Grace: 60})
	got["nothing"] = len(must(none.Extract()))

	post(client, "letters", 5, 600)
	made := claims.Create(client, "letters", claims.CreateOpts{TTL: 100, Grace: 60, Limit: 3})
	claimed := must(made.Extract())
	// The claim's id is in the header alone, and a message's in its path.
	id := last(made.Header.Get("Location"))
	got["claimed"] = claimed
	got["held"] = query(claimed[0].Href, "claim_id") == id

	claim := must(claims.Get(client, "letters", id).Extract())
	got["claim"] = claim
	got["its path"] = last(claim.Href) == id
	check(claims.Update(client, "letters", id, claims.UpdateOpts{TTL: 200, Grace: 90}).ExtractErr())
	got["renewed"] = must(claims.Get(client, "letters", id).Extract()).TTL

	free := messages.ListOpts{Echo: true}
	got["free"] = jobs(client, free)
	got["with claimed"] = jobs(client, messages.ListOpts{Echo: true, IncludeClaimed: true})
	first := last(claimed[0].Href)
	got["without the claim"] = status(messages.Delete(client, "letters", first, nil).Err)
	check(messages.Delete(client, "letters", first, messages.DeleteOpts{ClaimID: id}).ExtractErr())
	check(claims.Delete(client, "letters", id).ExtractErr())
	got["released"] = jobs(client, free)
	_, err := claims.Get(client, "letters", id).Extract()
	got["gone"] = status(err)

	byDefault := must(claims.Create(client, "letters", claims.CreateOpts{}).Extract())
	got["by default"] = len(byDefault)
	check(queues.Delete(client, "letters").ExtractErr())
	return got
}
